"""Runs, from their start to the end of each, whichever way that is; mostly it is one run."""

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from experiments.errors import DivergedError, without_exit
from experiments.plugin import registry
from experiments.plugin.failure import explained
from experiments.process import descriptors
from experiments.runs import provenance
from experiments.runs.checkpoints import Keeper
from experiments.runs.events import Event
from experiments.runs.provenance import Identity
from experiments.runs.result import Result
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.training import announcement, discontinuity, divergence, handover, landscape, lanes
from experiments.training.group import Ended, Lane
from experiments.training.record import Record
from experiments.training.restart import restart
from experiments.training.resume import Earlier
from experiments.training.session import Session, prepare
from experiments.training.train import Training

log = logging.getLogger(__name__)

_REPLAY = 60.0  # seconds to take steps again, about as many as lie between two checkpoints
_SHARE, _LEAST = 0.05, 2.0  # of the time trained, and seconds, for that in runs of a group


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run to be made; `earlier` is the part of it that it goes on with, `log` its own log."""

    experiment: Experiment
    identity: Identity
    tracker: Tracker
    log: logging.Logger = log
    earlier: Earlier | None = None

    @property
    def step(self) -> int:
        """The step that it goes on from."""
        content = self.earlier.content if self.earlier else None
        return int(content[1]["step"]) if content else 0


def execute(
    runs: Sequence[Run], root: Path, session: Session | None = None
) -> Generator[tuple[Run, Result | Exception], None, None]:
    """Make runs that differ in numbers alone, and yield each with how it ended, which it records.

    `root` is the checkout; a session that is prepared for a run alone saves doing so again. An
    error ends the run alone that it is of; a signal is raised, once every run is kept.
    """
    descriptors.allow(4 * len(runs))
    execution = _Execution(runs, root)
    try:
        yield from execution.train(session)
    except Exception as error:
        yield from execution.fail(error)
    except BaseException:
        execution.kill()
        raise


class _Execution:
    """Runs that are made together, and what they have in common."""

    def __init__(self, runs: Sequence[Run], root: Path) -> None:
        self._root, self._started = root, time.monotonic()
        self._waiting = {run.identity.run_id: run for run in runs}
        self._starts: dict[str, Event] = {}
        self._begun: set[str] = set()  # runs whose training has begun, maybe more than once
        self._alone, self._replayed = len(runs) == 1, 0.0

    def train(self, session: Session | None) -> Iterator[tuple[Run, Result | Exception]]:
        """Start all runs, and train together those that go on from the same step."""
        steps: dict[int, list[Run]] = {}
        for run in list(self._waiting.values()):
            try:
                self._start(run)
            except Exception as error:
                yield run, self._failed(run, error)
            else:
                steps.setdefault(run.step, []).append(run)
        for some in steps.values():
            yield from self._train(some, session)

    def fail(self, error: Exception) -> Iterator[tuple[Run, Exception]]:
        """End every run that has not ended."""
        for run in list(self._waiting.values()):
            yield run, self._failed(run, error)

    def kill(self) -> None:
        """End every run that has not ended, so that it can go on later."""
        for run in list(self._waiting.values()):
            self._end(run, "KILLED")

    def _start(self, run: Run) -> None:
        like = next(iter(self._starts.values()), None)
        start = (
            run.earlier.start
            if run.earlier
            else provenance.start_event(run.experiment, run.identity, self._root, like)
        )
        if not run.earlier:
            run.tracker.add("start", **start)
        self._starts[run.identity.run_id] = start

    def _train(
        self, runs: Sequence[Run], session: Session | None = None
    ) -> Iterator[tuple[Run, Result | Exception]]:
        """Train runs that go on from the same step; what stops them is looked for in parts."""
        training = None
        try:
            with without_exit():
                training = self._prepared(runs, session or prepare(runs[0].experiment))
                with closing(training.train()) as found:
                    for ended in found:
                        run = self._waiting[ended.lane.run_id]
                        yield run, self._concluded(run, ended)
            return
        except Exception as error:
            stopped = error
        left = [run for run in runs if run.identity.run_id in self._waiting]
        if len(left) == 1:
            yield left[0], self._failed(left[0], stopped)
            return
        experiments = [run.experiment for run in left]
        parts, failed = restart(experiments, stopped, begun=training is not None)
        for place, own in failed.items():
            yield left[place], self._failed(left[place], own)
        for part in parts:
            if part:
                yield from self._train([left[place] for place in part])

    def _prepared(self, runs: Sequence[Run], single: Session) -> Training:
        """Prepare runs; those that begin again compare what they repeat with their journals."""
        session = single
        if len(runs) > 1:
            session = lanes.in_lanes(single, [run.experiment for run in runs])
        name = registry.name_of(type(single.experiment.dataset))
        dataset = provenance.dataset_event(single.splits, name)
        if len(runs) > 1:  # whose own lines are in their files
            announcement.announce_data(single, log)
        prepared = []
        for place, run in enumerate(runs):
            record = Record(run.experiment, session, run.tracker, run.log, run.identity.job)
            lane = Lane(run_id=run.identity.run_id, tracker=run.tracker, record=record)
            if run.tracker.folder is not None:
                beside = run.experiment.data.workers == 0
                lane.keeper = Keeper(run.tracker.folder, run.tracker.sync, beside=beside)
            if run.earlier is not None:
                _go_on(run, run.earlier, lane, dataset["digest"])
                discontinuity.tell_jumps(run.earlier, session, place, run.tracker, run.log)
            elif lane.run_id in self._begun:
                run.tracker.expect(0, 0)
            # An earlier part may have been killed before it was recorded.
            if not (lane.run_id in self._begun or (run.earlier and run.earlier.digest)):
                parts = {"": run.experiment, "loss": single.loss_fn, **single.metrics}
                handover.keep_sources(run.tracker, parts, alone=run.identity.parent_id is None)
                own = lanes.taken(session, [place], session.state)
                config = self._starts[lane.run_id]["config"]
                handover.record_origin(own, run.tracker, run.log, config, dataset, self._patch)
            self._begun.add(lane.run_id)
            prepared.append(lane)
        return Training(session, prepared)

    @cached_property
    def _patch(self) -> str:
        return provenance.patch(self._root)

    def _concluded(self, run: Run, ended: Ended) -> Result | Exception:
        """Hand over what a run has left, and end it: an error here is its own."""
        outcome, history = ended.result, ended.lane.record.history
        if isinstance(outcome, Result):
            try:
                with without_exit():
                    start = self._starts[run.identity.run_id]
                    handover.hand_over(ended.session, run.tracker, run.log, history, outcome, start)
                    handover.end(run.tracker, run.log, "FINISHED")
            except Exception as error:
                outcome = error
        if isinstance(outcome, Exception):
            with suppress(Exception):  # it must not hide why the run ended
                landscape.draw(run.tracker, ended.session, alone=run.identity.parent_id is None)
            return self._failed(run, self._located(run, ended, outcome))
        self._let_go(run)
        return outcome

    def _failed(self, run: Run, error: Exception) -> Exception:
        told = explained(error)
        if told is not error and told.__cause__ is None:
            told.__cause__ = error
        if run.identity.run_id in self._starts:
            alone = run.identity.parent_id is None
            handover.record_failure(run.tracker, told, run.experiment, alone=alone)
        self._end(run, "FAILED")
        return told

    def _end(self, run: Run, status: str) -> None:
        """End a run that is not at its end; a full disk may not have that."""
        if run.identity.run_id in self._starts:
            with suppress(OSError):
                handover.end(run.tracker, run.log, status)
        self._let_go(run)

    def _let_go(self, run: Run) -> None:
        run.tracker.close()
        del self._waiting[run.identity.run_id]

    def _located(self, run: Run, ended: Ended, error: Exception) -> Exception:
        """Return the error of a run that diverged with what its last steps show when taken again.

        Runs of a group have a small share of its time for that, all together.
        """
        if not isinstance(error, DivergedError):
            return error
        room, begun = _REPLAY, time.monotonic()
        if not self._alone:
            room = min(room, max(_LEAST, _SHARE * (begun - self._started)) - self._replayed)
        told = divergence.located(
            error,
            lambda: lanes.in_lanes(ended.session, [run.experiment]),
            run.tracker,
            run.identity.run_id,
            longest=room,
        )
        self._replayed += time.monotonic() - begun
        return told


def _go_on(run: Run, earlier: Earlier, lane: Lane, digest: str) -> None:
    """Bring back what an earlier part of a run has left, and say so in the journal."""
    earlier.check_data(digest, allowed=run.experiment.resume_changed)
    lane.content = earlier.content
    looked = run.step - len(earlier.content[0]["losses"]) if earlier.content else 0
    lane.record.replay(earlier.before(run.step, looked))
    run.tracker.expect(run.step, looked)
    run.tracker.add("resume", step=run.step)
    run.tracker.add("tags", values=earlier.tags(run.step))
    run.log.info("resume   after step %d", run.step)
