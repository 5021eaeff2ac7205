"""Runs in their places, as the lanes of one session; mostly it is one run."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from experiments.plugin.spec import Tensors
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Content, Keeper
from experiments.runs.result import Result
from experiments.runs.tracker import Tracker
from experiments.training import checkpoint, lanes
from experiments.training.checkpoint import Point
from experiments.training.evaluation import pointed
from experiments.training.record import Record
from experiments.training.session import Session

_SHARE = 20  # the best parameters of many runs are written in this part of all time


@dataclass(kw_only=True, slots=True)
class Lane:
    """One of the runs that train together; `content` is the checkpoint that it goes on from."""

    run_id: str
    tracker: Tracker
    record: Record
    keeper: Keeper | None = None
    content: Content | None = None


class Ended(NamedTuple):
    """A run that has come to its end: its session has its best parameters."""

    lane: Lane
    session: Session
    result: Result | Exception


class Group:
    """The runs of a session, of which each ends for itself; with the best parameters of each."""

    def __init__(self, session: Session, runs: Sequence[Lane]) -> None:
        self.session, self.state = session, session.state  # after the last step
        self.best: Tensors = {}  # parameters and buffers, of all lanes
        self._runs: list[Lane | None] = list(runs)  # in their places, None once one has ended
        self._unwritten: set[int] = set()  # places whose best parameters are not on the disk
        self._written = 0.0, 0.0  # when best parameters were, and the seconds that it took

    def running(self) -> list[tuple[int, Lane]]:
        """Return the runs that go on, with their places."""
        return [(place, run) for place, run in enumerate(self._runs) if run is not None]

    def places(self) -> list[int]:
        """Return the places of the runs that go on."""
        return [place for place, _ in self.running()]

    def positions(self) -> list[int]:
        """Return where the journal of each run ends."""
        return [run.tracker.position() if run else 0 for run in self._runs]

    def is_half_empty(self) -> bool:
        """Say whether half of the lanes are of runs that have ended, for which they compute on."""
        return 2 * len(self.places()) <= len(self._runs)

    def compact(self) -> list[int]:
        """Leave out the lanes of runs that have ended; return which places are left."""
        places, axis = self.places(), self.session.axis
        if len(places) < len(self._runs):
            self.best = {name: axis.taken(t, places) for name, t in self.best.items()}
            self._unwritten = {row for row, p in enumerate(places) if p in self._unwritten}
            self.session = lanes.taken(self.session, places, self.state)
            self.state = self.session.state
            self._runs = [self._runs[place] for place in places]
        return places

    def keep(self, point: Point, positions: Sequence[int], places: Sequence[int]) -> list[Ended]:
        """Keep some of the runs at a point, but those whose parameters are not finite.

        Returns those that end, as they could not be kept.
        """
        axis, session = self.session.axis, self.session
        finite = axis.values(session.params.vector.isfinite().all(-1))
        # Joined once, for all.
        point = point._replace(losses=[torch.cat(list(point.losses))])
        shown = pointed(session, point.step.state)

        def contents() -> Iterator[tuple[int, Keeper, Content]]:
            for place, run, keeper in self._kept(place for place in places if finite[place]):
                history, own = run.record.history, {"position": positions[place], "place": place}
                at = point if history.best else point._replace(best={})
                content = checkpoint.of_run(
                    session, at, run.run_id, shown=shown, values=history.last, **own
                )
                yield place, keeper, content

        return self.end(checkpoints.keep(checkpoints.LAST, contents(), wait=axis.count > 1))

    def remember(self, places: Sequence[int], trained: Tensors) -> list[Ended]:
        """Copy what was evaluated of runs that are the best of each so far; return runs that end.

        Those of one run are written at once, those of many no more often than that may take.
        """
        axis = self.session.axis
        if not self.best or len(places) == axis.count:
            self.best = {name: tensor.clone() for name, tensor in trained.items()}
        else:
            # Copies, as a point that is kept may hold those before.
            rows = torch.tensor(places, device=self.session.device)
            self.best = {
                name: tensor.index_copy(0, rows, trained[name][rows])
                for name, tensor in self.best.items()
            }
        self._unwritten.update(places)
        moment, cost = self._written
        if axis.count > 1 and time.monotonic() - moment < _SHARE * cost:
            return []
        waiting = [place for place in self.places() if place in self._unwritten]
        return self.end(self._write((place, self.with_best([place])) for place in waiting))

    @torch.no_grad()
    def with_best(self, places: Sequence[int], *, ended: bool = False) -> Session:
        """Return the session of some of the runs with their best parameters, if there are any.

        It is the session itself of one run that has ended, or is evaluated where it trains.
        """
        session, axis = lanes.taken(self.session, places, self.state), self.session.axis
        if session.rule.is_elsewhere and axis.count == 1 and not ended:
            session = lanes.copied(session)
        for row, place in enumerate(places):
            run = self._runs[place]
            if run is not None and run.record.history.best:
                for name, tensor in session.trained.items():
                    session.axis.rows(tensor)[row].copy_(axis.rows(self.best[name])[place])
        return session

    def end(self, results: Mapping[int, Result | Exception]) -> list[Ended]:
        """Take runs out, with their best parameters on the disk."""
        if not results:
            return []
        sessions = {place: self.with_best([place], ended=True) for place in results}
        failed = self._write((p, s) for p, s in sessions.items() if p in self._unwritten)
        failed |= self.finish(results)
        ended = []
        for place, result in results.items():
            run, self._runs[place] = self._runs[place], None
            assert run is not None
            own = result if isinstance(result, Exception) else failed.get(place, result)
            ended.append(Ended(run, sessions[place], own))
        return ended

    def finish(self, places: Iterable[int]) -> dict[int, Exception]:
        """Wait until everything of some runs is written; return what stopped any of it."""
        return checkpoints.finish((place, keeper) for place, _, keeper in self._kept(places))

    def _write(self, sessions: Iterable[tuple[int, Session]]) -> dict[int, Exception]:
        """Write best parameters, which the runs' sessions have; return what stopped any of it."""

        def contents() -> Iterator[tuple[int, Keeper, Content]]:
            for place, session in sessions:
                self._unwritten.discard(place)
                for _, run, keeper in self._kept([place]):
                    history = run.record.history
                    content = checkpoint.of_model(session, history.best_step, history.best)
                    yield place, keeper, content

        start, wait = time.monotonic(), self.session.axis.count > 1
        failed = checkpoints.keep(checkpoints.BEST, contents(), wait=wait)
        self._written = time.monotonic(), time.monotonic() - start
        return failed

    def _kept(self, places: Iterable[int]) -> Iterator[tuple[int, Lane, Keeper]]:
        """Yield those of some runs that leave checkpoints, with who writes them."""
        for place in places:
            run = self._runs[place]
            if run is not None and run.keeper is not None:
                yield place, run, run.keeper
