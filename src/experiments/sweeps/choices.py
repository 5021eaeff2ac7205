"""The values that a sweep gives settings, and the jobs that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig

from experiments.config import compose, consent, limits, validation
from experiments.config.translation import translating
from experiments.errors import ConfigError, UnsafeError
from experiments.settings import Experiment, Jobs
from experiments.sweeps import groups, jobs


def of(parsed: Sequence[Override], *, intervals: bool = False) -> dict[str, list[str]]:
    """Return each setting with the overrides that give it its values; raise ConfigError.

    A later setting of the same key wins, as in Hydra's sweeper. Of an interval, where the sweeper
    takes `intervals`, these are its ends.
    """
    settings = {override.get_key_element(): override for override in parsed}
    if not intervals:  # a search makes as many as it is told to
        limits.check_jobs([_count(override) for override in settings.values()])
    return {key: _choices(override) for key, override in settings.items()}


def jobs_of(choices: Mapping[str, Sequence[str]], config: DictConfig) -> list[list[str]]:
    """Return the jobs of a sweep by its composed configuration; raise ConfigError."""
    sweep = Jobs(file=config.sweep.file, zip=list(config.sweep.zip))
    return jobs.listed(choices, sweep, repeats=config.repeats, seed=config.seed)


def check_rows(name: str, jobs: Sequence[list[str]]) -> None:
    """Look at the jobs of a file as at a command line, those that differ in numbers alone once.

    One that does not compose fails by itself, unless it is the first.
    """
    known = {one.name for one in fields(Experiment)}
    known |= set(GlobalHydra.instance().config_loader().list_groups(""))
    looked_at = set[tuple[str, ...]]()
    for job in jobs:
        if (outline := groups.outlined(job)) in looked_at:
            continue
        if unknown := {consent.first_of(line) for line in job} - known:
            raise ConfigError(validation.no_such_key(min(unknown), Experiment))
        try:
            with translating():
                compose.build(compose.without_hydra(compose.composed(name, job)))
        except ConfigError as error:
            if isinstance(error, UnsafeError) or not looked_at:
                raise
        looked_at.add(outline)


def _count(override: Override) -> float:
    """Return how many values a setting has, without making them."""
    value: Any = override.value()
    if isinstance(value, RangeSweep):
        return limits.count(value.start or 0, value.stop or 0, value.step)
    if isinstance(value, IntervalSweep):
        raise ConfigError(f"{override.input_line}: name the values, as in range(0, 1, step=0.1).")
    return len(list(override.sweep_string_iterator())) if override.is_sweep_override() else 1


def _choices(override: Override) -> list[str]:
    key, value = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if isinstance(value, IntervalSweep):
        lines = [f"{key}={value.start}", f"{key}={value.end}"]
    else:
        lines = [f"{key}={v}" for v in override.sweep_string_iterator()]
    consent.check_shared(lines)
    if not lines:
        raise ConfigError(f"{override.input_line}: there is nothing to sweep over.")
    return lines
