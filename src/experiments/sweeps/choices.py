"""The values that a sweep gives settings, and the jobs that they make."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig

from experiments.config import limits
from experiments.errors import ConfigError
from experiments.settings import Jobs
from experiments.sweeps import jobs


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
    if override.is_hydra_override():
        raise ConfigError(f"{key}: a sweep may not change Hydra's own settings.")
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}", f"{key}={value.end}"]
    lines = [f"{key}={v}" for v in override.sweep_string_iterator()]
    if not lines:
        raise ConfigError(f"{override.input_line}: there is nothing to sweep over.")
    return lines
