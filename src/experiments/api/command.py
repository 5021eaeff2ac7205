"""What a command asks for, composed, checked and carried out."""

import itertools
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.utils import run_job
from omegaconf import DictConfig

from experiments.api.outcome import Multiple, Single
from experiments.config import compose, consent, safety, sources
from experiments.errors import (
    ConfigError,
    ExperimentError,
    Interrupted,
    without_exit,
)
from experiments.plugin import discovery
from experiments.plugin.kinds import Dataset
from experiments.plugin.registry import name_of
from experiments.process.isolation import isolated
from experiments.runs import enclosure
from experiments.runs.folder import Folder
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.runs.result import Result
from experiments.runs.tracker import InMemory, Tracker
from experiments.settings import Decides, Experiment, TrackingMode, decided_by
from experiments.sweeps import console, interrupted, library, whole
from experiments.sweeps import plan as plans
from experiments.sweeps.plan import Plan
from experiments.sweeps.task import Task
from experiments.tracking import launch
from experiments.training import resume
from experiments.training.resume import Earlier
from experiments.training.run import Run, execute
from experiments.training.session import Session, prepare


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is checked: settings as on a command line, and what they come to."""

    root: Path
    name: str  # of the configuration that it starts from
    overrides: Sequence[str]
    run_id: str
    plan: Plan
    plugins: Sequence[str]  # folders

    def carry_out(self) -> Single | Multiple | Folder:
        """Train, and return what has come of it; of a run that was finished already its folder."""
        if self.plan.experiment.resume is not None:
            return self._resume()
        return self._sweep() if self.plan.multirun else self._run()

    def _run(self) -> Single:
        """Train once."""
        experiment, folder = self.plan.experiment, self.plan.folder
        # What does not fit the data is found before there is a folder.
        session = prepare(experiment)
        parts = (experiment.model, experiment.optimizer, experiment.dataset)
        name = experiment.tracking.name or " ".join(name_of(type(part)) for part in parts)
        tracker: Tracker = InMemory()
        if self._is_tracked:
            folder.mkdir(parents=True, exist_ok=True)
            tracker = Journal(folder)
        return self._train(session, tracker, Identity(self.run_id, None, name, self.overrides))

    def _resume(self) -> Single | Folder:
        """Go on with a run that has not come to its end; with resume=auto else begin one."""
        experiment = self.plan.experiment
        if self.plan.multirun:
            raise ConfigError(f"resume={experiment.resume} goes on with one run; leave out -m.")
        folder = resume.find(experiment)
        if folder is None:
            return self._run()
        enclosure.check_plain(folder)
        lines = resume.overrides(folder, self.overrides, Path(experiment.output))
        self._check_consent(folder, experiment.dataset)
        again = composed(self.root, self.name, lines, run_id=self.run_id, known=self.plugins)
        self._check_consent(folder, again.plan.experiment.dataset)  # which may download
        return again._go_on(folder)

    def _check_consent(self, folder: Path, dataset: Dataset) -> None:
        """Raise ConfigError where a run's journal decides what this command has to."""
        before = Folder(folder).start["overrides"]
        consent.require(folder.name, before, self.overrides, self.plan.config, dataset)

    def _go_on(self, folder: Path) -> Single | Folder:
        """Train on in the folder of a run."""
        experiment = self.plan.experiment
        tracker = Journal(folder, resume=True)
        try:
            earlier = resume.earlier(folder, experiment, tracker)
            if earlier.is_finished and not earlier.changes:
                print(f"{folder.name} is finished: there is nothing to go on with.")
                return Folder(folder)
            start, session = earlier.start, prepare(experiment)
            earlier.check_end(session.total_steps, experiment)
            identity = Identity(start["run_id"], start["parent_id"], start["name"], self.overrides)
            return self._train(session, tracker, identity, earlier)
        finally:
            tracker.close()

    def _train(
        self,
        session: Session,
        tracker: Tracker,
        identity: Identity,
        earlier: Earlier | None = None,
    ) -> Single:
        """Let Hydra make the run's folder and log for it, while MLflow is fed."""
        run = Run(
            experiment=self.plan.experiment, identity=identity, tracker=tracker, earlier=earlier
        )
        folder, ended = self.plan.folder, list[Result | BaseException]()

        def job(_: DictConfig) -> None:
            try:
                ended.extend(outcome for _, outcome in execute([run], self.root, session))
            except BaseException as error:  # kept from Hydra, which would tell it in its own way
                if isinstance(error, Interrupted) and self._is_tracked:
                    before, dataset = self.overrides, self.plan.experiment.dataset
                    line = consent.again(self.name, os.path.relpath(folder), before, dataset)
                    error.add_note(f"go on with: {line}")
                ended.append(error)

        with launch.uploading(self.plan.experiment.tracking, folder, self.root):
            run_job(
                job,
                self.plan.config,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
                hydra_context=self.plan.context,
            )
            if isinstance(ended[0], BaseException):
                raise ended[0]
        return Single(ended[0], session, tracker)

    def _sweep(self) -> Multiple:
        """Train every job of a sweep, or those that are missing."""
        experiment = self.plan.experiment
        earlier = interrupted.unfinished(self.plan, self.overrides, self.root, self.name)
        if not any(decided_by(key) is Decides.fit for key in self.plan.varied):
            _rehearse(experiment)  # what fits in no job is found before there is a folder
        folder = earlier or self.plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        task = Task(
            root=self.root,
            name=self.name,
            plugins=tuple(self.plugins),
            run_id=Folder(folder).start["run_id"] if earlier else self.run_id,
            folder=folder,
            varied=self.plan.varied,
            stops=experiment.on_error.name == "stop",
            basis=self._basis() if self._is_tracked else "",
            reuse=Path(experiment.output) if experiment.reuse else None,
        )
        done = Multiple(folder, task.failures, kept=self._is_tracked)
        try:
            here = replace(self.plan, folder=folder)
            whole.carry_out(here, task, self.overrides, resume=bool(earlier))
        except BaseException:
            done.close()
            raise
        finally:
            console.failures(task.failures, len(task.jobs))
        return done

    def _basis(self) -> str:
        """Return of a search what its study depends on beside its settings."""
        if self.plan.config.hydra.sweeper._target_ not in safety.SAMPLING:
            return ""
        lines = itertools.chain.from_iterable(self.plan.jobs)
        return library.basis(self.plan.experiment, lines)

    @property
    def _is_tracked(self) -> bool:
        return self.plan.experiment.tracking.mode is not TrackingMode.none


@isolated()
def _rehearse(experiment: Experiment) -> None:
    """Raise ConfigError or DataError for what keeps every job from beginning.

    Whatever else a plugin raises is of the first job alone, which meets and tells it itself.
    """
    try:
        with without_exit():
            prepare(experiment)
    except Exception as error:
        if isinstance(error, ExperimentError):
            raise


def composed(
    root: Path,
    name: str,
    overrides: Sequence[str],
    *,
    multirun: bool = False,
    folder: str | None = None,
    run_id: str | None = None,
    known: Sequence[str] = (),
) -> Command:
    """Find plugins, compose and check what settings ask for in the checkout `root`.

    `folder` has more configuration; plugins of `known` folders are there already. Raises
    ConfigError, and StorageError where MLflow's store could not be written to.
    """
    run_id = run_id or f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    plugins = sources.checked_folders(root, name, overrides, folder)
    discovery.discover(root, [path for path in plugins if path not in known])
    compose.publish(root, run_id)
    lines = [*overrides, *([sources.searchpath(folder)] if folder else [])]
    plan = plans.plan(root, name, lines, multirun=multirun)
    sources.check_plugins(plan.experiment, plugins)
    if plan.experiment.tracking.mode is TrackingMode.mlflow:
        launch.check_writable(launch.store(plan.experiment.tracking, root))
    return Command(root, name, plan.lines, run_id, plan, plugins)
