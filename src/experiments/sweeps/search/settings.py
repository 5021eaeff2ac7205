"""The settings of a search: how many runs it may take, and who says which ones."""

from dataclasses import dataclass
from enum import Enum

from experiments.plugin.bounds import number


class Sampler(Enum):
    """Who says what to try next."""

    tpe = "tpe"  # learns where good values are; takes every kind of setting
    random = "random"
    quasi_random = "quasi_random"  # Sobol' points, which leave smaller gaps than random ones
    grid = "grid"  # every combination once
    cmaes = "cmaes"  # moves a normal distribution; for numbers alone


class Pruner(Enum):
    """Who says which runs are not worth going on with."""

    none = "none"
    median = "median"  # gives up what is worse than half of the finished ones were by then
    halving = "halving"  # lets the best quarter pass after 1, 4, 16, ... evaluations


class Direction(Enum):
    """Which values are better."""

    maximize = "maximize"
    minimize = "minimize"


class Varied(Enum):
    """Which settings a search varies."""

    given = "given"  # those that the command line varies
    rule = "rule"  # with them the numbers of the rule, over the ranges that its fields declare


@dataclass(kw_only=True, slots=True)
class Search:
    """How a sweep looks for the best settings: `hydra/sweeper=optuna`, `hydra.sweeper.*`."""

    _target_: str = "hydra_plugins.experiments_optuna.OptunaSweeper"
    sampler: Sampler = Sampler.tpe
    space: Varied = Varied.given
    n_trials: int = number(64, at_least=1)  # of the study, whether or not they exist already
    # trials at once; null: 16 of a sampler that learns from them, else all
    batch: int | None = number(None, at_least=1)
    startup: int = number(16, at_least=0)  # trials before tpe, or the pruner, trusts what it knows
    multivariate: bool = False  # let tpe look at how settings depend on each other
    pruner: Pruner = Pruner.none
    study: str | None = None  # its name; null: made of the command's settings
    storage: str | None = "studies.db"  # a file, in the folder of all runs; null: memory only
    seed: int = number(0, at_least=0)  # of the sampler; runs have their own
    direction: Direction | None = None  # null: as the monitored metric says
    params: dict[str, str] | None = None  # settings as on the command line, for files in conf/

    @property
    def at_once(self) -> int:
        """Return how many trials are asked for at once."""
        learns = self.sampler in (Sampler.tpe, Sampler.cmaes)
        return self.batch or (16 if learns else self.n_trials)
