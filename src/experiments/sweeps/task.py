"""What Hydra's launcher runs of a sweep, wherever it does: a group of jobs."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.config import compose
from experiments.errors import ConfigError, DivergedError, FullError
from experiments.plugin import discovery, failure
from experiments.process import secrecy
from experiments.process.isolation import isolated
from experiments.runs.folder import Folder
from experiments.runs.provenance import Identity
from experiments.runs.result import FILE, Result, Status
from experiments.settings import Experiment
from experiments.sweeps import console, groups, probe
from experiments.sweeps.jobfiles import Template, quieten_console
from experiments.training import resume
from experiments.training.run import Run, execute

Varied = Callable[[Mapping[str, float]], Experiment | None]


class _Job(NamedTuple):
    """A job of a group: what it has beside the others, and the experiment that makes."""

    number: int
    overrides: Sequence[str]
    numbers: Mapping[str, float]
    folder: str
    experiment: Experiment | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A sweep's jobs; what it holds is plain, as other processes and machines may be sent it.

    `failures` tells why jobs have failed, `jobs` where each is, `full` which disk is: only the
    process that began the sweep knows all of it.
    """

    root: Path
    name: str  # of the configuration
    plugins: tuple[str, ...]  # folders
    run_id: str
    folder: Path
    varied: frozenset[str]
    stops: bool  # after a job that has failed
    basis: str  # of a search, its code and data
    reuse: Path | None  # the folder of the runs whose results are taken
    most: int = 1024  # runs that train together
    probe: bool = True
    failures: dict[int, str] = field(default_factory=dict)
    jobs: dict[int, str] = field(default_factory=dict)  # the names of their folders, by number
    full: list[FullError] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of training, of each group
    process: int = field(default_factory=os.getpid)

    @isolated()
    def __call__(self, cfg: DictConfig) -> float:
        """Train the jobs of a group, in as many lanes as are fastest here; return the seconds."""
        quieten_console()
        if self.is_stopped:
            return 0.0
        self._publish()
        jobs, overrides = self._group(cfg)
        self.jobs.update({job.number: job.folder for job in jobs})
        try:
            files, vary = self._composed(cfg, overrides)
        except Exception as error:
            for job in jobs:
                self._fail(job, error)
            return 0.0
        made: list[_Job] = []
        for job in jobs:
            try:
                if (experiment := vary(job.numbers)) is None:
                    raise ConfigError(f"lanes={cfg.lanes} is of other settings than these.")
                made.append(job._replace(experiment=experiment))
            except Exception as error:
                self._fail(job, error)
        experiments = [job.experiment for job in made if job.experiment is not None]
        parts = probe.parts(experiments, self.most, probe=self.probe)
        seconds = sum(self._train([made[place] for place in some], files) for some in parts)
        self.seconds.append(seconds)
        if self.full:
            raise self.full[0]  # to where the sweep was begun
        return seconds

    @isolated()
    def _train(self, jobs: Sequence[_Job], files: Template) -> float:
        """Train jobs together, and return the seconds of training alone."""
        if self.is_stopped:
            return 0.0
        runs, started, trained = list[Run](), time.monotonic(), 0.0
        with ExitStack() as held:
            for job in jobs:
                try:
                    runs.append(self._opened(job, files))
                except Exception as error:
                    self._fail(job, error)
                else:
                    held.callback(runs[-1].tracker.close)  # a signal may come before it begins
            ended = held.enter_context(closing(execute(runs, self.root)))
            for run, outcome in ended:
                seconds = time.monotonic() - started
                self.tell(run.identity.job or 0, run.identity.overrides, outcome, seconds)
                trained = max(trained, outcome.seconds if isinstance(outcome, Result) else 0.0)
        return trained

    def _opened(self, job: _Job, files: Template) -> Run:
        folder = self.folder / job.folder
        files.write(folder, job.number, job.overrides, job.numbers)
        assert job.experiment is not None
        tracker, earlier = resume.opened(folder, job.experiment)
        name = self.name_of(job.number, job.overrides)
        return Run(
            experiment=job.experiment,
            identity=Identity(self.id_of(job.number), self.run_id, name, job.overrides, job.number),
            tracker=tracker,
            log=files.logger(folder),
            earlier=earlier,
        )

    @property
    def is_stopped(self) -> bool:
        """Whether no more jobs are to be run, as one has failed or a disk is full."""
        found = (Folder(self.folder / name).result.status for name in self.jobs.values())
        failed = self.stops and (bool(self.failures) or Status.failed in found)
        return bool(self.full) or failed

    def tell(
        self, number: int, overrides: Sequence[str], outcome: Result | Exception, seconds: float
    ) -> None:
        """Say in one line how a job went."""
        name = self.name_of(number, overrides)
        if isinstance(outcome, Exception) and not isinstance(outcome, DivergedError):
            outcome = failure.explained(outcome)
            self.failures[number] = f"{name}: {str(outcome) or type(outcome).__name__}"
            self.full.extend([outcome] if isinstance(outcome, FullError) else [])
        console.outcome(f"#{number} {name}", outcome, seconds)

    def name_of(self, number: int, overrides: Sequence[str]) -> str:
        """Return a job's name: what jobs differ in."""
        varied = [text for text in overrides if text.partition("=")[0] in self.varied]
        return " ".join(varied) or f"job {number}"

    def id_of(self, number: int) -> str:
        """Return our id of a job's run."""
        return f"{self.run_id}.{number}"

    def _publish(self) -> None:
        """Find plugins and hide secrets in a process that another one has sent the task to."""
        if os.getpid() != self.process:
            secrecy.hide_environment(os.environ)
            discovery.discover(self.root, self.plugins)
            compose.publish(self.root, self.run_id)

    def _group(self, cfg: DictConfig) -> tuple[list[_Job], list[str] | None]:
        """Return the jobs of a group, and the settings that its first one is composed of."""
        if "lanes" in cfg:
            group = json.loads(Path(cfg.lanes).read_text(encoding="utf-8"))
            return [_Job(**lane) for lane in group["lanes"]], group["overrides"]
        own: Any = HydraConfig.get()  # of a sweeper that makes no groups
        lines, name = compose.plain(own.overrides.task), Path(own.runtime.output_dir).name
        return [_Job(own.job.num, lines, {}, name)], None

    def _composed(
        self, cfg: DictConfig, overrides: Sequence[str] | None
    ) -> tuple[Template, Varied]:
        """Compose the first job of a group; return the files of all, and what varies it."""
        settings: Any = HydraConfig.instance().cfg
        if overrides is not None:
            conf = str(self.root / "conf")
            with initialize_config_dir(conf, version_base="1.3", job_name=settings.hydra.job.name):
                cfg = compose.composed(self.name, overrides)
            settings = OmegaConf.masked_copy(cfg, "hydra")
            cfg = compose.without_hydra(cfg)
        files = Template(cfg, settings)
        return files, groups.varying(compose.build(cfg), files.plain)

    def _fail(self, job: _Job, error: Exception) -> None:
        """Say why a job could not begin, here and in its folder, where others look for it."""
        self.tell(job.number, job.overrides, error, 0.0)
        folder = Folder(self.folder / job.folder)
        if folder.exists:
            return
        result = Result(status=Status.failed, reason=str(error) or type(error).__name__)
        with suppress(OSError):  # of a full disk, which is no fault of the other jobs
            folder.path.mkdir(parents=True, exist_ok=True)
            (folder.path / FILE).write_text(secrecy.clean(result.to_json()), encoding="utf-8")
