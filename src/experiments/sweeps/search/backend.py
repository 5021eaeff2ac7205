"""What Optuna calls a search's settings: distributions, the sampler that learns, and pruners."""

import warnings

import optuna
from optuna import distributions, pruners, samplers

from experiments.sweeps.search.settings import Pruner, Search
from experiments.sweeps.search.space import Axis, Categories

optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution(axis: Axis) -> distributions.BaseDistribution:
    """Return what a setting's values are drawn from."""
    if isinstance(axis, Categories):
        return distributions.CategoricalDistribution(axis.texts)
    if axis.whole:
        low, high, step = int(axis.low), int(axis.high), int(axis.step or 1)
        return distributions.IntDistribution(low, high, log=axis.log, step=step)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def tpe(settings: Search, seed: int) -> samplers.TPESampler:
    """Return the sampler that learns where good values are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return samplers.TPESampler(
            seed=seed,
            n_startup_trials=settings.startup,
            multivariate=settings.multivariate,
            constant_liar=True,  # the trials of a batch keep away from each other
        )


def pruner(settings: Search) -> pruners.BasePruner:
    """Return who gives trials up."""
    if settings.pruner is Pruner.median:
        return pruners.MedianPruner(n_startup_trials=settings.startup)
    if settings.pruner is Pruner.halving:
        return pruners.SuccessiveHalvingPruner(min_resource=1)
    return pruners.NopPruner()
