"""The launcher that trains jobs together which differ in numbers alone."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass
class VectorizedConfig:
    """Settings of the launcher."""

    _target_: str = "hydra_plugins.experiments_vectorized.VectorizedLauncher"
    max_lanes: int = 1024  # runs that train together at most
    probe: bool = True  # try how many are fastest; else as many as there may be


ConfigStore.instance().store(
    group="hydra/launcher", name="vectorized", node=VectorizedConfig, provider="experiments"
)


class VectorizedLauncher(Launcher):
    """Makes groups of jobs, each of which is one Hydra job; the other jobs go one by one.

    The task function is an `experiments.sweep.task.Task`, which says what goes together.
    """

    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, max_lanes: int, probe: bool) -> None:
        self._max_lanes, self._probe = max_lanes, probe
        self._task: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Prepare for a sweep."""
        self.hydra_context, self._task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run jobs, and return of each how it went, in their order."""
        self._configure_log()
        jobs = {initial_job_idx + n: list(lines) for n, lines in enumerate(job_overrides)}
        folders = dict(zip(jobs, self._folders(jobs), strict=True))
        division = self._task.divide(
            jobs, folders, self._compose, most=self._max_lanes, probe=self._probe
        )
        values = dict(division.known)
        for group in division.groups:
            if not self._task.is_stopped:
                values |= self._run(group.overrides, group.number, group.folder)
        for number in division.alone:
            if not self._task.is_stopped:
                values[number] = self._run(jobs[number], number)
        return [self._returned(lines, values.get(number)) for number, lines in jobs.items()]

    def _configure_log(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))

    def _folders(self, numbers: Sequence[int] | dict[int, Any]) -> Iterator[str]:
        """Yield the folder of each job below the sweep's."""
        config = copy.deepcopy(self.config)
        for number in numbers:
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            yield str(config.hydra.sweep.subdir)

    def _run(self, overrides: Sequence[str], number: int, folder: str | None = None) -> Any:
        """Let Hydra run one job, in another folder than its own for a group; return its value."""
        config = self._compose(overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
            config.hydra.sweep.subdir = folder or config.hydra.sweep.subdir
        done = run_job(
            hydra_context=self.hydra_context,
            task_function=self._task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        self._configure_log()
        return done.return_value

    def _returned(self, overrides: Sequence[str], value: float | None) -> JobReturn:
        returned = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
        returned.return_value = float("nan") if value is None else value
        return returned
