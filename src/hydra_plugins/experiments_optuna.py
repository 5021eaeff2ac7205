"""A sweep that looks for the best settings: `python run.py -m hydra/sweeper=optuna ...`.

Hydra imports this module at each start, so what a search needs is imported when it begins.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from experiments.config import limits, texts
from experiments.errors import ConfigError
from experiments.plugin import bounds
from experiments.settings import Decides, decided_by
from experiments.sweeps.search import axes
from experiments.sweeps.search.repeats import Judge, combined, taken_apart
from experiments.sweeps.search.settings import Pruner, Search, Varied
from experiments.training.judge import judging

if TYPE_CHECKING:
    from experiments.runs.result import Result
    from experiments.sweeps.search.space import Space
    from experiments.sweeps.search.study import Study, Trial

ConfigStore.instance().store(
    group="hydra/sweeper", name="optuna", node=Search, provider="experiments"
)
log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Ask a study for batches of trials, launch them, and tell the study how they went.

    What a setting is varied over is written as `experiments.sweeps.search.axes.separated` says.
    With `repeats=r` a trial is r jobs whose seeds follow each other, and with a setting that only
    repeats a run, as a fold does, one for each of its values; the trial's value is their mean.
    Raises ConfigError for settings that cannot work.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = Search(**settings)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the settings, and take what Hydra gives to each sweeper."""
        for field in dataclasses.fields(Search):
            value = getattr(self.settings, field.name)
            if problem := bounds.problem(field, value):
                raise ConfigError(f"hydra.sweeper.{field.name}={value}: {problem}.")
        if "://" in (storage := self.settings.storage or ""):
            raise ConfigError(f"hydra.sweeper.storage={storage}: give the path of a file.")
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self._base, self._basis = config, str(getattr(task_function, "basis", ""))
        self._repeats = int(OmegaConf.select(config, "repeats", default=1))
        self._again: Sequence[Sequence[str]] = [[]]  # of each trial
        from experiments.sweeps.launch import Launch

        self._launch = Launch(task_function, hydra_context, config)  # type: ignore[arg-type]
        if self.settings.pruner is not Pruner.none and not self._launch.is_local:
            raise ConfigError(
                f"hydra.sweeper.pruner={self.settings.pruner.name}: the jobs of this launcher "
                "train in other processes, where nobody gives them up; use none."
            )

    def sweep(self, arguments: list[str]) -> dict[int, Result]:
        """Search, say what was best, and return how the jobs ended by number."""
        given = texts.of_params(self.settings.params)
        varied, fixed = axes.separated(self._parser.parse_overrides([*given, *arguments]))
        self._check(varied)
        if self.settings.space is Varied.rule:
            varied = self._with_ranges(varied, fixed)
        space, self._again = taken_apart(varied)
        limits.check_jobs([self.settings.n_trials, self._repeats, len(self._again)])
        results: dict[int, Result] = {}
        with closing(self._study(space, fixed)) as study:
            if study.earlier:
                log.info(f"{study.earlier} trials of this study are there, {study.left} to go.")
            while trials := study.ask(self.settings.at_once):
                results |= self._round(study, trials, list(fixed.values()))
                if self._launch.is_stopped:  # by a job that failed
                    break
            log.info(summary(study))
        return results

    def _round(
        self, study: Study, trials: Sequence[Trial], base: Sequence[str]
    ) -> dict[int, Result]:
        """Launch a batch's jobs, of which `base` is the same, and tell the study of it."""
        from experiments.runs.result import Status
        from experiments.sweeps.jobs import repeated

        seed = int(OmegaConf.select(self._base, "seed", default=0))
        jobs = [
            [*job, *again]
            for trial in trials
            for job in repeated([*base, *trial.lines], self._repeats, seed)
            for again in self._again
        ]
        repeats = self._repeats * len(self._again)
        numbers = self._launch.numbers(jobs)
        of_trials = [trial.number for trial in trials for _ in range(repeats)]
        judge = Judge(study.report, dict(zip(numbers, of_trials, strict=True)), repeats=repeats)
        with judging(judge):
            done: dict[int, Result] = self._launch(dict(zip(numbers, jobs, strict=True)))
        results = [done[number] for number in numbers]
        # One without a value cannot know which values are better.
        if known := [one for one in results if math.isfinite(one.value)]:
            study.decide(higher_is_better=known[0].higher_is_better)
        for place, trial in enumerate(trials):
            value, status = combined(results[place * repeats : (place + 1) * repeats])
            if status != Status.unfinished:  # else it is asked for again when the study goes on
                study.tell(trial, value, status)
        return done

    def _check(self, space: Space) -> None:
        """Refuse settings of other ways to vary something; raise ConfigError."""
        for key in ("sweep.file", "sweep.zip"):
            if given := OmegaConf.select(self._base, key):
                raise ConfigError(f"{key}={given}: hydra/sweeper=optuna has no use for it.")
        if self._repeats > 1 and "seed" in space:
            raise ConfigError(f"seed: with repeats={self._repeats} it cannot be varied as well.")

    def _with_ranges(self, varied: Space, fixed: dict[str, str]) -> Space:
        """Return a space with the numbers of the rule, and say where each is looked for."""
        from experiments.sweeps.search import ranges

        found = ranges.of_rule(self._base, varied, fixed)
        for key, own in found.items():
            print(f"{key}={own.span}" + f"  ({own.source})" * bool(own.source), flush=True)
        return {**varied, **{key: own.span for key, own in found.items()}}

    def _study(self, space: Space, fixed: dict[str, str]) -> Study:
        from experiments.sweeps.search.study import Study

        settings = self.settings
        about = {k: line.partition("=")[2] for k, line in fixed.items() if _matters(k)}
        about["code and data"] = self._basis
        if any(self._again):
            about["repetitions"] = str(self._again)
        mode = OmegaConf.select(self._base, "tracking.mode")
        silent = getattr(mode, "name", mode) == "none"  # such a sweep keeps nothing
        file = None if silent else settings.storage
        path = Path(self._base.output, file) if file else None
        name = settings.study or self._name(space, about)
        return Study(settings, space, name=name, path=path, about=about)

    def _name(self, space: Space, about: dict[str, str]) -> str:
        """Return a name that the same settings have each time, and others do not."""
        config: Any = OmegaConf.to_container(self._base, resolve=False)
        chosen: dict[str, Any] = OmegaConf.select(self._base, "hydra.runtime.choices", default={})
        told: list[Any] = [{key: str(axis) for key, axis in space.items()}, about]
        for tree in (config, chosen):
            told.append({k: tree[k] for k in tree if _matters(k)})
        told += [self.settings.sampler.value, self.settings.seed, str(self.settings.direction)]
        text = json.dumps(told, sort_keys=True, default=str)
        return f"{' '.join(space)[:100]} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _matters(key: str) -> bool:
    """Say whether a setting makes another study."""
    return decided_by(key) is not Decides.place and key != "resume_changed"


def summary(study: Study) -> str:
    """Say which trial was best, with its settings as on a command line."""
    best = study.best()
    if best is None:
        return "No trial has come to its end."
    trial, value = best
    return f"Best, trial {trial.number} with {value:.6g}: {shlex.join(trial.lines)}"
