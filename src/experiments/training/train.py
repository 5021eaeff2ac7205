"""Training: look at the numbers, keep the best parameters and the runs, stop each in time."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.errors import Interrupted
from experiments.plugin.spec import Tensors
from experiments.process import signals
from experiments.rules.axis import Axis
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Content, Keeper
from experiments.runs.result import Result
from experiments.runs.tracker import Tracker
from experiments.training import checkpoint, engine, lanes
from experiments.training.checkpoint import Point
from experiments.training.evaluation import evaluate
from experiments.training.loop import Step
from experiments.training.meter import Meter
from experiments.training.progress import Progress
from experiments.training.record import Record, planned_end
from experiments.training.session import Session

_SHARE = 20  # keeping runs may take this part of all time


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


class _Kept(NamedTuple):
    """When runs were kept, and the seconds that it took."""

    step: int
    moment: float
    cost: float


class Training:
    """Runs that train together until each has a reason to stop; mostly it is one run."""

    def __init__(self, session: Session, runs: Sequence[Lane]) -> None:
        self._session, self._state = session, session.state
        self._runs: list[Lane | None] = list(runs)  # in their places, None once one has ended
        self._losses: list[Tensor] = []  # of the steps since the last look, on the device
        self._best: Tensors = {}
        self._unwritten: set[int] = set()  # places whose best parameters are not on the disk
        self._meter, self._progress = Meter(session.device), Progress(session)
        self._started = time.monotonic()
        self._t = 0
        self._here: tuple[Point, list[int]] | None = None  # where something was last made of a step
        self._kept = _Kept(0, time.monotonic(), 0.0)
        self._written = _Kept(0, 0.0, 0.0)  # of the best parameters

    def train(self) -> Generator[Ended, None, None]:
        """Take steps, and yield each run as it ends, until all have."""
        torch.manual_seed(derive(self._session.experiment.seed, "train"))
        steps, ended = None, self._go_on()
        try:
            while True:
                yield from ended
                if not self._places():
                    return
                if steps is None or 2 * len(self._places()) <= len(self._runs):
                    steps = self._steps()
                with self._progress.after(self._t), signals.deferred():
                    ended = self._until_some_end(steps)
        except GeneratorExit:  # of a signal, while a run is concluded
            if self._here is not None:
                self._keep(*self._here, self._places())
            raise
        finally:
            checkpoints.finish(self._keepers(self._places()))

    def take(self, step: Step) -> list[Ended]:
        """Keep the runs where it is time to, and follow a step; return those that end."""
        self._t, self._state = step.t, step.state
        self._losses.append(step.losses)
        self._progress.add(step)
        late, due = self._is_late(), self._is_due()
        if not (late or due or self._session.is_stop(step.t) or signals.has_arrived()):
            return []
        seconds = time.monotonic() - self._started
        point = Point(step, self._losses, self._best, seconds)
        positions = [run.tracker.position() if run else 0 for run in self._runs]
        self._here = point, positions
        try:
            signals.check()
            ended = self._keep(point, positions, self._places()) if due else []
            ended += self._follow(step, late=late)
            if not ended:
                signals.check()
        except Interrupted:
            self._keep(point, positions, self._places())
            raise
        return ended

    def _until_some_end(self, steps: Iterator[Step]) -> list[Ended]:
        for step in steps:
            if ended := self.take(step):
                return ended
        raise AssertionError("the last step is evaluated, and a reason to stop")

    def _follow(self, step: Step, *, late: bool) -> list[Ended]:
        """Record what a step leaves behind, and end the runs that have a reason to stop."""
        is_evaluated = late or self._session.is_evaluated(step.t)
        if not (is_evaluated or self._session.is_stop(step.t)):
            return []
        ended = self._look(step)
        if not is_evaluated or not self._places():
            return ended
        ended += self._evaluate(step)
        found = {place: self._reason(run, late=late) for place, run in self._running()}
        if reasons := {place: reason for place, reason in found.items() if reason}:
            assert self._here is not None
            ended += self._keep(*self._here, list(reasons))
            ended += self._conclude({p: reasons[p] for p in self._places() if p in reasons})
        return ended

    def _look(self, step: Step) -> list[Ended]:
        """Record the losses since the last look, which waits for the device to compute them."""
        axis = self._session.axis
        rows = torch.cat(self._losses).reshape(-1, axis.count).T.tolist()
        self._losses = []  # the list that a point holds stays as it is
        _, scheduled = self._session.rule.clock(step.t)
        numbers = {name: axis.values(value) for name, value in scheduled.items()}
        numbers["norm/update"] = axis.values(step.change.norm(dim=-1))
        numbers["norm/params"] = axis.values(self._session.params.vector.norm(dim=-1))
        self._progress.tell(step.t, [row[-1] for row in rows])

        def look(place: int, run: Lane) -> None:
            own = {name: values[place] for name, values in numbers.items()}
            run.record.look(step.t - len(rows[place]) + 1, rows[place], own)

        return self._each(look)

    def _evaluate(self, step: Step) -> list[Ended]:
        """Record how good the parameters are, and remember the best so far."""
        values = evaluate(self._session, "val")
        if self._session.experiment.evaluate.train:
            for own, measured in zip(values, evaluate(self._session, "train"), strict=True):
                own |= {"train/mean_loss": measured.pop("train/loss"), **measured}
        clock = {"seconds": time.monotonic() - self._started, **self._meter.read()}
        better: list[int] = []

        def judge(place: int, run: Lane) -> None:
            if run.record.evaluate(step.t, values[place], clock):
                better.append(place)

        ended = self._each(judge)
        if better:
            self._remember(better)
        return ended + self._write_best()

    def _remember(self, places: Sequence[int]) -> None:
        """Copy the parameters of some of the runs, which are the best of each so far."""
        axis, trained = self._session.axis, self._session.trained
        if not self._best or len(places) == axis.count:
            self._best = {name: tensor.clone() for name, tensor in trained.items()}
        else:
            rows = torch.tensor(places, device=self._session.device)
            for name, tensor in self._best.items():
                tensor[rows] = trained[name][rows]
        self._unwritten.update(places)

    def _each(self, act: Callable[[int, Lane], None]) -> list[Ended]:
        """Let every run take part, and end those for which that raises an error."""
        ended = []
        for place, run in self._running():
            try:
                act(place, run)
            except Exception as error:  # of its own numbers, its own disk
                ended.append((place, error))
        return self._ended(dict(ended))

    def _conclude(self, reasons: Mapping[int, str]) -> list[Ended]:
        """Evaluate the best parameters of some runs on the test split, and end these."""
        seconds, results = time.monotonic() - self._started, dict[int, Result | Exception]()
        tests = _tested(self._with_best(list(reasons)))
        for (place, reason), test in zip(reasons.items(), tests, strict=True):
            run = self._runs[place]
            assert run is not None
            try:
                if isinstance(test, Exception):
                    raise test
                results[place] = run.record.conclude(self._t, reason, seconds, test)
            except Exception as error:  # of its own disk, its own metric
                results[place] = error
        return self._ended(results)

    def _ended(self, results: Mapping[int, Result | Exception]) -> list[Ended]:
        """Take runs out, with their best parameters on the disk."""
        sessions = {place: self._with_best([place]) for place in results}
        failed = self._written_best((p, s) for p, s in sessions.items() if p in self._unwritten)
        failed |= checkpoints.finish(self._keepers(results))
        ended = []
        for place, result in results.items():
            run, self._runs[place] = self._runs[place], None
            assert run is not None
            own = failed.get(place, result) if isinstance(result, Result) else result
            ended.append(Ended(run, sessions[place], own))
        return ended

    @torch.no_grad()
    def _with_best(self, places: Sequence[int]) -> Session:
        """Return the session of some of the runs with their best parameters, if there are any."""
        session = lanes.taken(self._session, places, self._state)
        for name, tensor in session.trained.items():
            for row, place in enumerate(places):
                if name in self._best and self._is_known(place):
                    session.axis.rows(tensor)[row].copy_(
                        self._session.axis.rows(self._best[name])[place]
                    )
        return session

    def _is_known(self, place: int) -> bool:
        """Say whether a run has had an evaluation, the best of which there are parameters of."""
        run = self._runs[place]
        return run is not None and bool(run.record.history.best)

    def _steps(self) -> Iterator[Step]:
        """Return the steps of the runs that go on, without the lanes of those that have ended."""
        places, count = self._places(), len(self._runs)
        if len(places) < count:
            axis, left = self._session.axis, Axis(len(places))
            self._losses = [
                left.of_rows(losses.reshape(-1, count).T[places]).movedim(0, -1)
                for losses in self._losses
            ]
            self._best = {name: axis.taken(t, places) for name, t in self._best.items()}
            self._unwritten = {row for row, p in enumerate(places) if p in self._unwritten}
            self._session = lanes.taken(self._session, places, self._state)
            self._state, self._here = self._session.state, None
            self._runs = [self._runs[place] for place in places]
        self._session.model.train()
        return engine.steps(replace(self._session, state=self._state), self._t)

    def _go_on(self) -> list[Ended]:
        """Go on from the step that every run was kept at, which they have in common."""
        contents = [run.content for _, run in self._running() if run.content is not None]
        if not contents:
            return []
        point = checkpoint.bring_back(self._session, contents)
        self._best, self._started = point.best, self._started - point.seconds
        self._kept = _Kept(point.step.t, time.monotonic(), 0.0)
        with signals.deferred():
            return self.take(point.step)

    def _places(self) -> list[int]:
        return [place for place, _ in self._running()]

    def _running(self) -> list[tuple[int, Lane]]:
        return [(place, run) for place, run in enumerate(self._runs) if run is not None]

    def _reason(self, run: Lane, *, late: bool) -> str | None:
        if reason := run.record.reason_to_stop(self._t) or planned_end(self._session, self._t):
            return reason
        return f"time_limit={self._session.experiment.time_limit}" if late else None

    def _is_late(self) -> bool:
        limit = self._session.experiment.time_limit
        return limit is not None and time.monotonic() - self._started > limit

    def _is_due(self) -> bool:
        """Say whether it is time to keep the runs."""
        step, moment, cost = self._kept
        settings, epoch = self._session.experiment.checkpoint, self._session.steps_per_epoch
        return checkpoints.is_due(settings, epoch, self._t, step, moment, least=_SHARE * cost)

    def _keep(self, point: Point, positions: Sequence[int], places: Sequence[int]) -> list[Ended]:
        """Keep some of the runs at a point, but those whose parameters are not finite.

        Returns those that end as they could not be kept.
        """
        start, axis = time.monotonic(), self._session.axis
        finite = axis.values(self._session.params.vector.isfinite().all(-1))
        # Joined once, for all.
        point = point._replace(losses=[torch.cat(list(point.losses))])

        def contents() -> Iterator[tuple[int, Keeper, Content]]:
            for place, keeper in self._keepers(place for place in places if finite[place]):
                yield place, keeper, self._content(point, positions[place], place)

        failed = checkpoints.keep(checkpoints.LAST, contents(), wait=axis.count > 1)
        self._kept = _Kept(point.step.t, time.monotonic(), time.monotonic() - start)
        return self._ended(failed)

    def _content(self, point: Point, position: int, place: int) -> Content:
        run = self._runs[place]
        assert run is not None
        history = run.record.history
        return checkpoint.of_run(
            self._session,
            point if history.best else point._replace(best={}),
            run.run_id,
            position=position,
            values=history.last,
            place=place,
        )

    def _write_best(self) -> list[Ended]:
        """Write best parameters: of one run at once, of many no more often than they may take."""
        _, moment, cost = self._written
        if self._session.axis.count > 1 and time.monotonic() - moment < _SHARE * cost:
            return []
        places = [place for place in self._places() if place in self._unwritten]
        return self._ended(self._written_best((p, self._with_best([p])) for p in places))

    def _written_best(self, sessions: Iterable[tuple[int, Session]]) -> dict[int, Exception]:
        """Write the best parameters of runs, which their sessions have; return what stopped any."""

        def contents() -> Iterator[tuple[int, Keeper, Content]]:
            for place, session in sessions:
                self._unwritten.discard(place)
                for _, keeper in self._keepers([place]):
                    run = self._runs[place]
                    assert run is not None
                    best = run.record.history
                    yield place, keeper, checkpoint.of_model(session, best.best_step, best.best)

        start = time.monotonic()
        failed = checkpoints.keep(checkpoints.BEST, contents(), wait=self._session.axis.count > 1)
        self._written = _Kept(self._t, time.monotonic(), time.monotonic() - start)
        return failed

    def _keepers(self, places: Iterable[int]) -> Iterator[tuple[int, Keeper]]:
        for place in places:
            run = self._runs[place]
            if run is not None and run.keeper is not None:
                yield place, run.keeper


def _tested(session: Session) -> list[dict[str, float] | Exception]:
    """Evaluate runs on the test split: together, or each alone where one stands in the way."""
    try:
        return [*evaluate(session, "test")]
    except Exception as error:
        if session.axis.count == 1:
            return [error]
    alone = (lanes.taken(session, [row], session.state) for row in range(session.axis.count))
    return [test for one in alone for test in _tested(one)]
