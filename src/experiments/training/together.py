"""Runs that train together, from their start to the end of each, whichever way that is."""

import logging
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import DivergedError, explained, is_out_of_memory
from experiments.plugin import registry
from experiments.report import summary
from experiments.runs import provenance, results
from experiments.runs.checkpoints import Keeper
from experiments.runs.provenance import Identity
from experiments.runs.results import Result
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.training import lanes
from experiments.training.group import Group
from experiments.training.lanekeeping import Ended, Lane
from experiments.training.record import Record
from experiments.training.resume import Earlier
from experiments.training.session import Session, prepare

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One of the runs; `earlier` is the part of it that it goes on with, `log` its own log."""

    experiment: Experiment
    identity: Identity
    tracker: Tracker
    log: logging.Logger
    earlier: Earlier | None = None

    @property
    def step(self) -> int:
        """The step that it goes on from."""
        content = self.earlier.content if self.earlier else None
        return int(content[1]["step"]) if content else 0


# Told of each run that has ended, and how.
Listener = Callable[[Run, Result | Exception], None]


def execute(runs: Sequence[Run], root: Path, listener: Listener) -> float:
    """Run experiments that differ in numbers alone, and return the seconds of training.

    `root` is the checkout. How each ends is recorded and told to the listener. What fails in one
    fails in all that have not ended; a signal is raised, once every run is kept.
    """
    _allow_files(4 * len(runs))
    starts: dict[str, dict[str, Any]] = {}
    for run in runs:
        starts[run.identity.run_id] = _start(run, root, next(iter(starts.values()), None))
    waiting = dict.fromkeys(starts)
    by_id = {run.identity.run_id: run for run in runs}
    seconds: list[float] = []
    try:
        for some in _by_step(runs):
            for ended in _train(some, starts, seconds):
                run = by_id[ended.lane.run_id]
                del waiting[ended.lane.run_id]
                listener(run, _concluded(run, ended, starts[ended.lane.run_id]))
    except Exception as error:
        told = explained(error)
        told.__cause__ = None if told is error else error
        for run_id in waiting:
            results.record_failure(by_id[run_id].tracker, told)
            _end(by_id[run_id], "FAILED")
            listener(by_id[run_id], told)
    except BaseException:
        for run_id in waiting:
            _end(by_id[run_id], "KILLED")
        raise
    return sum(seconds)


def _train(
    runs: Sequence[Run],
    starts: dict[str, dict[str, Any]],
    seconds: list[float],
    *,
    again: bool = False,
) -> Iterator[Ended]:
    """Train runs that go on from the same step; where memory does not suffice, half of them."""
    ended: set[str] = set()
    try:
        group = _group(runs, starts, again=again)
        for one in group.train():
            ended.add(one.lane.run_id)
            yield one
        seconds.append(group.seconds)
        return
    except Exception as error:
        left = [run for run in runs if run.identity.run_id not in ended]
        if not is_out_of_memory(error) or len(left) < 2:
            raise
    half = len(left) // 2
    log.warning("%d lanes are too many for the memory: half of them go first.", len(left))
    for some in (left[:half], left[half:]):
        yield from _train(some, starts, seconds, again=True)


def _group(runs: Sequence[Run], starts: dict[str, dict[str, Any]], *, again: bool) -> Group:
    """Prepare runs; those that begin `again` compare what they repeat with their journals."""
    single = prepare(runs[0].experiment)
    session = single
    if len(runs) > 1:
        session = lanes.in_lanes(single, [run.experiment for run in runs])
    dataset = provenance.dataset_event(
        session.splits, registry.name_of(type(session.experiment.dataset))
    )
    prepared = []
    for place, run in enumerate(runs):
        record = Record(run.experiment, session, run.tracker, run.log, run.identity.job)
        lane = Lane(run_id=run.identity.run_id, tracker=run.tracker, record=record)
        start = starts[run.identity.run_id]
        if run.tracker.folder is not None:
            lane.keeper = Keeper(run.tracker.folder, run.tracker.sync, beside=True)
        if run.earlier is not None:
            _go_on(run, run.earlier, lane, dataset["digest"])
        elif again:
            run.tracker.expect(0, 0)
        if not again and not (run.earlier and run.earlier.digests):
            _record_origin(run, lanes.lane(session, place, session.state), start, dataset)
        prepared.append(lane)
    return Group(session, prepared)


def _go_on(run: Run, earlier: Earlier, lane: Lane, digest: str) -> None:
    """Bring back what an earlier part of a run has left, and say so in the journal."""
    earlier.check_data(digest, allowed=run.experiment.resume_changed)
    lane.content = earlier.content
    looked = run.step - len(earlier.content[0]["losses"]) if earlier.content else 0
    lane.history.replay(earlier.before(run.step, looked))
    run.tracker.expect(run.step, looked)
    run.tracker.add("resume", step=run.step)
    run.tracker.add("tags", values=earlier.tags(run.step))
    run.log.info("resume   after step %d", run.step)


def _start(run: Run, root: Path, like: dict[str, Any] | None) -> dict[str, Any]:
    if run.earlier is not None:
        return run.earlier.start
    start = provenance.start_event(run.experiment, run.identity, root, like)
    run.tracker.add("start", **start)
    return start


def _record_origin(
    run: Run, session: Session, start: dict[str, Any], dataset: dict[str, Any]
) -> None:
    table = summary.tensors(session)
    run.log.info("%s\n", table)
    results.write(run.tracker, "tensors.txt", table)
    results.record_origin(session, run.tracker, start["config"], dataset)


def _concluded(run: Run, ended: Ended, start: dict[str, Any]) -> Result | Exception:
    """Hand over what a run has left, and end it."""
    result = ended.result
    outcome: Result | Exception = result
    try:
        if isinstance(result, DivergedError):
            results.record_failure(run.tracker, result)
        else:
            results.announce(result, ended.lane.history, run.log)
            results.hand_over(ended.session, run.tracker, ended.lane.history, result, start)
    except OSError as error:
        told = outcome = explained(error)
        results.record_failure(run.tracker, told)
    _end(run, "FAILED" if isinstance(outcome, Exception) else "FINISHED")
    return outcome


def _by_step(runs: Sequence[Run]) -> list[list[Run]]:
    """Put runs together that go on from the same step."""
    steps: dict[int, list[Run]] = {}
    for run in runs:
        steps.setdefault(run.step, []).append(run)
    return list(steps.values())


def _allow_files(count: int) -> None:
    """Let this process have as many files open as its runs need, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + count if hard == resource.RLIM_INFINITY else min(hard, soft + count)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _end(run: Run, status: str) -> None:
    for handler in run.log.handlers:
        handler.flush()
    results.end(run.tracker, status)
