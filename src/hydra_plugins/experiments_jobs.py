"""The sweeper of this project, and the launcher that runs its jobs in this process.

Hydra imports this module at each start, so what a sweep needs is imported when it begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

if TYPE_CHECKING:
    from experiments.runs.result import Result


@dataclass
class JobsConfig:
    """Settings of the sweeper."""

    _target_: str = "hydra_plugins.experiments_jobs.JobsSweeper"
    params: dict[str, Any] = field(default_factory=dict)  # settings and their values


@dataclass
class VectorizedConfig:
    """Settings of the launcher, and of how jobs are divided among lanes."""

    _target_: str = "hydra_plugins.experiments_jobs.VectorizedLauncher"
    max_lanes: int = 1024  # runs that train together at most
    probe: bool = True  # try how many are fastest; else as many as there may be


STORE = ConfigStore.instance()
STORE.store(group="hydra/sweeper", name="jobs", node=JobsConfig, provider="experiments")
STORE.store(
    group="hydra/launcher", name="vectorized", node=VectorizedConfig, provider="experiments"
)


class JobsSweeper(Sweeper):
    """Products of values, values side by side, rows of a file, and repeats: all jobs at once."""

    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, params: DictConfig) -> None:
        self._params = params
        self._launch: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Prepare for a sweep; the task function is an `experiments.sweeps.task.Task`."""
        from experiments.sweeps.launch import Launch

        self.hydra_context, self.config = hydra_context, config
        self._launch = Launch(task_function, hydra_context, config)  # type: ignore[arg-type]

    def sweep(self, arguments: list[str]) -> "dict[int, Result]":
        """Launch the jobs that the settings stand for, and return how they went by number."""
        from experiments.config import texts
        from experiments.sweeps import choices

        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = texts.of_params(self._params)
        parsed = parser.parse_overrides([*lines, *arguments])
        jobs = choices.jobs_of(choices.of(parsed), self.config)
        numbers = self._launch.numbers(jobs)
        results: dict[int, Result] = self._launch(dict(zip(numbers, jobs, strict=True)))
        return results


class VectorizedLauncher(Launcher):
    """Runs what it is given one after the other, in this process, without a word."""

    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, **_: Any) -> None:
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
        return [self._run(lines, initial_job_idx + n) for n, lines in enumerate(job_overrides)]

    def _configure_log(self) -> None:
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

    def _run(self, overrides: Sequence[str], number: int) -> JobReturn:
        loader = self.hydra_context.config_loader
        config = loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        done = run_job(
            hydra_context=self.hydra_context,
            task_function=self._task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        self._configure_log()
        return done
