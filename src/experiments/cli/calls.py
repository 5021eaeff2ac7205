"""A checked command line, carried out: a run, a run that goes on, or a sweep."""

import dataclasses
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from experiments.config import compose, sources
from experiments.errors import ConfigError, ExperimentError, Interrupted
from experiments.plugin import discovery
from experiments.plugin.registry import name_of
from experiments.runs import journal
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.runs.tracker import Silent, Tracker
from experiments.settings import Experiment, TrackingMode
from experiments.sweep import console, plan
from experiments.sweep.parent import Sweep
from experiments.sweep.plan import Plan
from experiments.sweep.task import Task
from experiments.text import quoted
from experiments.tracking import launch
from experiments.tracking.launch import Uploader
from experiments.training import resume, run
from experiments.training.session import prepare

# Settings that decide whether the parts of a job fit each other.
_MAKING = ("dataset", "model", "loss", "metric", "monitor", "augment", "transform", "device",
           "batch_size", "data.", "plugin_path")  # fmt: skip
_TRACEBACK = "HYDRA_FULL_ERROR"


@dataclass(frozen=True, slots=True)
class Call:
    """A checked command line, which Hydra carries out."""

    root: Path
    config_name: str
    flags: Sequence[str]  # the arguments that are no overrides
    overrides: Sequence[str]
    run_id: str
    plan: Plan

    def run(self) -> int:
        """Train once."""
        experiment, folder = self.plan.experiment, self.plan.folder
        # What does not fit the data is found before there is a folder.
        session = prepare(experiment)
        name = experiment.tracking.name or _name(experiment)
        identity = Identity(self.run_id, None, name, self.overrides)
        tracker: Tracker = Silent()
        if experiment.tracking.mode is not TrackingMode.none:
            folder.mkdir(parents=True, exist_ok=True)
            tracker = Journal(folder)
        self._train(partial(run.execute, experiment, tracker, identity, self.root, session=session))
        return 0

    def resume(self) -> int:
        """Go on with a run that has not come to its end; with resume=auto else begin one."""
        experiment = self.plan.experiment
        if self.plan.multirun:
            raise ConfigError(f"resume={experiment.resume} goes on with one run; leave out -m.")
        folder = resume.find(experiment)
        if folder is None:
            return self.run()
        overrides = resume.overrides(folder, self.overrides)
        self._discover(overrides)
        found = plan.plan(self.root, self.config_name, overrides, multirun=False)
        call = dataclasses.replace(self, overrides=overrides, plan=found)
        return call.go_on(folder)

    def _discover(self, overrides: Sequence[str]) -> None:
        """Find the plugins of folders that a run's command named, and this one does not."""
        known, folders = (
            sources.check(self.root, self.config_name, lines)
            for lines in (self.overrides, overrides)
        )
        discovery.discover(self.root, [folder for folder in folders if folder not in known])
        compose.publish(self.root, self.run_id)

    def go_on(self, folder: Path) -> int:
        """Train on in the folder of a run."""
        experiment = self.plan.experiment
        tracker = Journal(folder, resume=True)
        try:
            earlier = resume.earlier(folder, experiment, tracker)
            if resume.is_finished(folder) and not earlier.changes:
                print(f"{folder.name} is finished: there is nothing to go on with.")
                return 0
            start = earlier.start
            identity = Identity(start["run_id"], start["parent_id"], start["name"], self.overrides)
            execute = partial(run.execute, session=prepare(experiment), earlier=earlier)
            self._train(partial(execute, experiment, tracker, identity, self.root))
        finally:
            tracker.close()
        return 0

    def _train(self, execute: Callable[[], Any]) -> None:
        """Let Hydra carry out one run, while MLflow is fed; raise what stops it."""
        stopped: list[BaseException] = []
        tracked = self.plan.experiment.tracking.mode is not TrackingMode.none

        def job(_: DictConfig) -> None:
            try:
                execute()
            except BaseException as error:  # kept from Hydra, which would tell it in its own way
                if isinstance(error, Interrupted) and tracked:
                    again = ["python", "run.py", f"resume={os.path.relpath(self.plan.folder)}"]
                    error.add_note(f"go on with: {shlex.join(again)}")
                stopped.append(error)

        with self._uploading():
            self._hydra(job)
            if stopped:
                raise stopped[0]

    def _hydra(self, job: Callable[[DictConfig], Any]) -> None:
        carry_out(self.root, self.config_name, [*self.flags, *self.overrides], job)

    def sweep(self) -> int:
        """Train every job of a sweep, or those that are missing; return 1 if any failed."""
        experiment, earlier = self.plan.experiment, self._interrupted()
        if not any(key.startswith(_MAKING) for key in self.plan.varied):
            prepare(experiment)  # what fits in no job is found before there is a folder
        folder = earlier or self.plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        run_id = journal.start_of(folder)["run_id"] if earlier else self.run_id
        here = [*self.overrides, f"hydra.sweep.dir={quoted(str(folder))}"]
        call = dataclasses.replace(
            self, overrides=here, plan=dataclasses.replace(self.plan, folder=folder)
        )
        name = experiment.tracking.name or f"sweep {' '.join(self.overrides)}"
        identity = Identity(run_id, None, name, self.overrides)
        task = Task(
            self.root,
            run_id,
            folder,
            self.plan.varied,
            experiment,
            library=resume.Library(Path(experiment.output)) if experiment.reuse else None,
        )
        for lines, problem in self.plan.wrong.items():
            print(f"{lines} is left out: {problem}", file=sys.stderr)
        started = time.monotonic()
        with call._uploading() as hurry:
            parent = Sweep(experiment, Journal(folder, resume=bool(earlier)), identity, self.root)
            hydra = call._train_jobs(task, parent, hurry) - sum(task.seconds)
            waited = time.monotonic()
        console.time(
            len(task.numbers),
            sum(task.seconds),
            hydra,
            mlflow=time.monotonic() - waited,
            all_in_all=waited - started,
        )
        if experiment.tracking.mode is TrackingMode.none:
            shutil.rmtree(folder)
        console.failures(task.failures, len(task.numbers))
        return ExperimentError.status if task.failures else 0

    def _train_jobs(self, task: Task, parent: Sweep, hurry: Callable[[], None]) -> float:
        """Let Hydra carry out the jobs between the start and the end of the sweep's own run.

        Returns the seconds that the jobs took.
        """
        started = time.monotonic()
        try:
            self._hydra(task)
        except BaseException as error:
            parent.close("FAILED" if isinstance(error, Exception) else "KILLED")
            kept = self.plan.experiment.tracking.mode is not TrackingMode.none
            if isinstance(error, Interrupted) and kept:
                error.add_note("the same command goes on with what is missing")
            raise
        seconds = time.monotonic() - started
        hurry()
        # One that was stopped is not at its end: the same command goes on with it.
        parent.close("KILLED" if task.is_stopped else "FAILED" if task.failures else "FINISHED")
        return seconds

    def _interrupted(self) -> Path | None:
        """Return the folder of a sweep of this command that has not come to its end."""
        experiment, folder = self.plan.experiment, self.plan.folder
        if (folder / journal.FILE).exists():
            if resume.is_interrupted(folder, self.overrides):
                return folder
            if not journal.is_held(folder) and resume.is_other(folder, self.overrides):
                raise ConfigError(f"The folder {folder} is that of another sweep; name another.")
            return None
        if experiment.tracking.mode is TrackingMode.none:
            return None
        found = resume.find_sweep(Path(experiment.output), self.overrides)
        if found is not None:
            print(f"goes on with the sweep in {found}, which was interrupted", flush=True)
        return found

    @contextmanager
    def _uploading(self) -> Iterator[Callable[[], None]]:
        """Feed MLflow meanwhile, sparingly until this function is called; then wait for it."""
        settings = self.plan.experiment.tracking
        if settings.mode is not TrackingMode.mlflow:
            yield lambda: None
            return
        uri = launch.store(settings, self.root)
        uploader = Uploader(self.plan.folder, uri, patience=settings.wait)
        status = "FINISHED"
        try:
            yield uploader.hurry
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            # A signal asks for a quick end; the uploader goes on without this process.
            complete = uploader.finish(status, wait=status != "KILLED")
            if (self.plan.folder / journal.FILE).exists():
                print(*uploader.closing_lines(complete=complete), sep="\n", flush=True)


def carry_out(
    root: Path, config_name: str, arguments: Sequence[str], job: Callable[[DictConfig], Any]
) -> None:
    """Let Hydra make of a command line's arguments what it does: help, one job or several."""
    decorate = hydra.main(
        version_base="1.3", config_path=str(root / "conf"), config_name=config_name
    )
    # Without the variable Hydra prints errors in its own way, and exits.
    argv, traceback = sys.argv, os.environ.get(_TRACEBACK)
    sys.argv, os.environ[_TRACEBACK] = [argv[0], *arguments], "1"
    try:
        decorate(job)()
    finally:
        sys.argv = argv
        if traceback is None:
            del os.environ[_TRACEBACK]
        else:
            os.environ[_TRACEBACK] = traceback


def _name(experiment: Experiment) -> str:
    parts = (experiment.model, experiment.optimizer, experiment.dataset)
    return " ".join(name_of(type(part)) for part in parts)
