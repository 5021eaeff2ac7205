"""The sweeper of this project: products, values side by side, rows of a file, and repeats."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class JobsConfig:
    """Settings of the sweeper."""

    _target_: str = "hydra_plugins.experiments_jobs.JobsSweeper"
    params: dict[str, Any] = field(default_factory=dict)  # settings and their values


ConfigStore.instance().store(
    group="hydra/sweeper", name="jobs", node=JobsConfig, provider="experiments"
)


class JobsSweeper(Sweeper):
    """Hands all jobs of a sweep to the launcher at once, which may train them together."""

    hydra_context: HydraContext
    config: DictConfig

    def __init__(self, params: DictConfig) -> None:
        self._params = params
        self._launcher: Launcher | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Prepare for a sweep."""
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the jobs that the settings stand for, and return how they went."""
        from experiments.sweep import choices

        assert self._launcher is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{key!s}={value}" for key, value in self._params.items()]
        parsed = parser.parse_overrides([*lines, *arguments])
        jobs = choices.jobs_of(choices.of(parsed), self.config)
        return [self._launcher.launch(jobs, initial_job_idx=0)]
