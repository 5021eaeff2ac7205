"""What Hydra's launcher runs of a sweep: a job, or a group of jobs that train together."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from experiments.config.compose import build, composer
from experiments.errors import ConfigError, DivergedError, explained
from experiments.process.secrecy import message
from experiments.runs.provenance import Identity, origin
from experiments.runs.results import Result, Value
from experiments.settings import Experiment
from experiments.sweep import console, groups, jobfiles
from experiments.sweep.groups import Together
from experiments.sweep.probe import FEWEST, parts
from experiments.text import quoted
from experiments.training import resume, together
from experiments.training.run import execute


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that train together, as one Hydra job of the first one's number."""

    overrides: list[str]
    number: int
    folder: str
    lanes: int


@dataclass(frozen=True, slots=True)
class Division:
    """How jobs are run: the values that are `known`, the groups, the numbers that go `alone`."""

    known: dict[int, Value]
    groups: list[Group]
    alone: list[int]


@dataclass(frozen=True, slots=True)
class Task:
    """A sweep's jobs, wherever Hydra's launcher runs them; `failures` tells why by number."""

    root: Path
    run_id: str
    folder: Path
    varied: frozenset[str]
    experiment: Experiment
    failures: dict[int, str] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)  # of the jobs that there are
    seconds: list[float] = field(default_factory=list)  # of training, of each job or group
    library: resume.Library | None = None  # of results to reuse

    def __call__(self, cfg: DictConfig) -> Any:
        """Train a job and return its value, or those of a group by number."""
        jobfiles.quieten_console()
        if cfg.lanes is None:
            settings = HydraConfig.get()
            return self._alone(cfg, settings.job.num, list(settings.overrides.task))
        return self._together(cfg)

    @property
    def is_stopped(self) -> bool:
        """Whether a job has failed and the others are not to be run."""
        return bool(self.failures) and self.experiment.on_error.name == "stop"

    def divide(
        self,
        jobs: Mapping[int, list[str]],
        folders: Mapping[int, str],
        compose: Callable[[Sequence[str]], DictConfig],
        *,
        most: int,
        probe: bool,
    ) -> Division:
        """Say which jobs train together, and why the others do not.

        `jobs` has the overrides of each by number, `folders` the name of its folder; `most` is the
        number of lanes at most, and `probe` whether fewer are tried.
        """
        self.numbers.update(jobs)
        numbered = [groups.Job(number, lines) for number, lines in jobs.items()]
        begun = time.perf_counter()
        found, wrong = groups.grouped(numbered, composer(compose))
        composing = (time.perf_counter() - begun) / max(1, len(found))
        for number, error in wrong.items():
            self._ended(number, jobs[number], error, 0.0)
        known: dict[int, Value] = {}
        made: list[Group] = []
        alone: dict[int, str] = {}
        for group in found:
            there = self._known(group, folders)
            known |= there
            left = [n for n, job in enumerate(group.jobs) if job.number not in there]
            wanted = group.part(left)
            for some, reason in parts(wanted, most, probe=probe, composing=composing):
                if len(some.jobs) < FEWEST:
                    alone |= {job.number: reason for job in some.jobs}
                else:
                    made.append(self._written(some, folders))
        console.division(len(jobs), len(known), [group.lanes for group in made], alone)
        return Division(known, made, list(alone))

    def _known(self, group: Together, folders: Mapping[int, str]) -> dict[int, Value]:
        """Return the values of the jobs in a group whose results there are."""
        known: dict[int, Value] = {}
        code = origin(group.experiments[0]) if self.library else {}
        for job, experiment in zip(group.jobs, group.experiments, strict=True):
            folder = self.folder / folders[job.number]
            result = resume.ended(folder, self._run_id(job.number))
            if result is None and self.library is not None and not folder.exists():
                result = self.library.reuse(experiment, code, folder)
            if result is not None:
                known[job.number] = Value.of(result)
        return known

    def _written(self, group: Together, folders: Mapping[int, str]) -> Group:
        """Write the lanes file of a group."""
        above = self.folder / "groups"
        above.mkdir(exist_ok=True)
        name = str(1 + max((int(path.stem) for path in above.glob("*.json")), default=-1))
        lanes = [
            {
                "number": job.number,
                "overrides": list(job.overrides),
                "numbers": numbers,
                "folder": folders[job.number],
            }
            for job, numbers in zip(group.jobs, group.numbers, strict=True)
        ]
        path = above / f"{name}.json"
        path.write_text(json.dumps(lanes), encoding="utf-8")
        first = [f"{key}={value!r}" for key, value in group.numbers[0].items()]
        overrides = [*group.common, *first, f"lanes={quoted(str(path))}"]
        return Group(overrides, group.jobs[0].number, f"groups/{name}", len(lanes))

    def _alone(self, cfg: DictConfig, number: int, overrides: Sequence[str]) -> Value:
        folder = Path(HydraConfig.get().runtime.output_dir)
        if result := resume.ended(folder, self._run_id(number)):
            return Value.of(result)
        started = time.monotonic()
        try:
            experiment = build(cfg)
            tracker, earlier = resume.opened(folder, experiment)
            result = execute(
                experiment, tracker, self._identity(number, overrides), self.root, earlier=earlier
            )
        except Exception as error:
            return self._ended(number, overrides, error, time.monotonic() - started)
        self.seconds.append(result.seconds)
        return self._ended(number, overrides, result, time.monotonic() - started)

    def _together(self, cfg: DictConfig) -> dict[int, Value]:
        """Train the jobs of a lanes file together."""
        hydra = HydraConfig.instance().cfg
        assert hydra is not None
        path = Path(cfg.lanes)
        lanes = json.loads(path.read_text(encoding="utf-8"))
        with read_write(cfg), open_dict(cfg):
            cfg.lanes = None
        files = jobfiles.Template(cfg, hydra)
        vary = groups.varying(build(cfg), files.plain)
        values: dict[int, Value] = {}
        runs: list[together.Run] = []
        for lane in lanes:
            number, overrides = lane["number"], lane["overrides"]
            folder = self.folder / lane["folder"]
            try:
                files.write(folder, number, overrides, lane["numbers"])
                experiment = vary(lane["numbers"])
                if experiment is None:
                    raise ConfigError(f"lanes={path} is of other settings than these.")
                tracker, earlier = resume.opened(folder, experiment)
            except Exception as error:
                values[number] = self._ended(number, overrides, error, 0.0)
                continue
            runs.append(
                together.Run(
                    experiment=experiment,
                    identity=self._identity(number, overrides),
                    tracker=tracker,
                    log=files.logger(folder),
                    earlier=earlier,
                )
            )
        started = time.monotonic()

        def listen(run: together.Run, outcome: Result | Exception) -> None:
            number = run.identity.job
            assert number is not None
            seconds = time.monotonic() - started
            values[number] = self._ended(number, run.identity.overrides, outcome, seconds)

        self.seconds.append(together.execute(runs, self.root, listen))
        return values

    def _identity(self, number: int, overrides: Sequence[str]) -> Identity:
        name = self._name(number, overrides)
        return Identity(self._run_id(number), self.run_id, name, overrides, number)

    def _run_id(self, number: int) -> str:
        return f"{self.run_id}.{number}"

    def _name(self, number: int, overrides: Sequence[str]) -> str:
        varied = [text for text in overrides if text.partition("=")[0] in self.varied]
        return " ".join(varied) or f"job {number}"

    def _ended(
        self, number: int, overrides: Sequence[str], outcome: Result | Exception, seconds: float
    ) -> Value:
        """Say in one line how a job went, and return its value: NaN where it failed or diverged."""
        self.numbers.add(number)
        name = self._name(number, overrides)
        if isinstance(outcome, Result):
            told = f"{outcome.monitor} {outcome.value:.4f}"
            value = Value.of(outcome)
        elif isinstance(outcome, DivergedError):
            told, value = f"diverged: {outcome}", Value.none("diverged")
        else:
            error = explained(outcome)
            told, value = f"failed: {message(error)}", Value.none("failed")
            self.failures[number] = f"{name}: {str(error) or type(error).__name__}"
        print(f"#{number} {name}: {told} ({seconds:.1f} s)", flush=True)
        return value
