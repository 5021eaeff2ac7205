"""Training: look at the numbers, keep the best parameters and the runs, stop each in time."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.errors import Interrupted
from experiments.process import signals
from experiments.rules.axis import Axis
from experiments.rules.rule import COST
from experiments.runs import checkpoints
from experiments.runs.result import Result
from experiments.training import checkpoint, engine, lanes
from experiments.training.checkpoint import Point
from experiments.training.diagnostics import measurement
from experiments.training.evaluation import evaluate, pointed
from experiments.training.group import Ended, Group, Lane
from experiments.training.loop import Step
from experiments.training.meter import Meter
from experiments.training.progress import Progress
from experiments.training.record import planned_end
from experiments.training.session import Session
from experiments.training.trajectory import Trajectory

_SHARE = 20  # keeping runs may take this part of all time


class Training:
    """Runs that train together until each has a reason to stop; mostly it is one run."""

    def __init__(self, session: Session, runs: Sequence[Lane]) -> None:
        self._group = Group(session, runs)
        self._losses: list[Tensor] = []  # of the steps since the last look, on the device
        self._trajectory = Trajectory()
        self._meter, self._progress = Meter(session.device), Progress(session)
        self._started = time.monotonic()
        self._t = 0
        self._here: tuple[Point, list[int]] | None = None  # the last step that something is made of
        self._kept = 0, time.monotonic(), 0.0  # the step, the moment and the cost of keeping

    @property
    def _session(self) -> Session:
        return self._group.session

    def train(self) -> Generator[Ended, None, None]:
        """Take steps, and yield each run as it ends, until all have."""
        torch.manual_seed(derive(self._session.experiment.seed, "train"))
        steps, ended = None, self._go_on()
        try:
            while True:
                yield from ended
                if not self._group.places():
                    return
                if steps is None or self._group.is_half_empty():
                    steps = self._steps()
                with self._progress.after(self._t), signals.deferred():
                    ended = self._until_some_end(steps)
        except GeneratorExit:  # of a signal, while a run is concluded
            if self._here is not None:
                self._group.keep(*self._here, self._group.places())
            raise
        finally:
            self._group.finish(self._group.places())

    def take(self, step: Step) -> list[Ended]:
        """Keep the runs where it is time to, and follow a step; return those that end."""
        self._t, self._group.state = step.t, step.state
        self._losses.append(step.losses)
        self._trajectory.add(step.t, self._session.params)
        self._progress.add(step)
        late, due = self._is_late(), self._is_due()
        if not (late or due or self._session.is_stop(step.t) or signals.has_arrived()):
            return []
        record = self._trajectory.flush()
        ended = self._each(lambda place, run: record(place, run.tracker))
        seconds = time.monotonic() - self._started
        point = Point(step, self._losses, self._group.best, seconds)
        self._here = point, self._group.positions()
        try:
            signals.check()
            ended += self._keep(self._group.places()) if due else []
            ended += self._follow(step, late=late)
            if not ended:
                signals.check()
        except Interrupted:
            self._keep(self._group.places())
            raise
        return ended

    def _steps(self) -> Iterator[Step]:
        """Return the steps of the runs that go on, without the lanes of those that have ended."""
        count, places = self._session.axis.count, self._group.compact()
        if len(places) < count:
            self._here, left = None, Axis(len(places))
            self._losses = [
                left.of_rows(losses.reshape(-1, count).T[places]).movedim(0, -1)
                for losses in self._losses
            ]
        self._session.model.train()
        return engine.steps(replace(self._session, state=self._group.state), self._t)

    def _until_some_end(self, steps: Iterator[Step]) -> list[Ended]:
        for step in steps:
            if ended := self.take(step):
                return ended
        raise AssertionError("the last step is evaluated, and a reason to stop")

    def _go_on(self) -> list[Ended]:
        """Go on from the step that every run was kept at, which they have in common."""
        contents = [run.content for _, run in self._group.running() if run.content is not None]
        if not contents:
            self._trajectory.add(0, self._session.params)
            return []
        point = checkpoint.bring_back(self._session, contents)
        self._group.best, self._started = point.best, self._started - point.seconds
        self._kept = point.step.t, time.monotonic(), 0.0
        with signals.deferred():
            return self.take(point.step)

    def _follow(self, step: Step, *, late: bool) -> list[Ended]:
        """Record what a step leaves behind, and end the runs that have a reason to stop."""
        is_evaluated = late or self._session.is_evaluated(step.t)
        if not (is_evaluated or self._session.is_stop(step.t)):
            return []
        ended = self._look(step)
        if not is_evaluated or not self._group.places():
            return ended
        ended += self._evaluate(step)
        found = {place: self._reason(run, late=late) for place, run in self._group.running()}
        if reasons := {place: reason for place, reason in found.items() if reason}:
            ended += self._keep(list(reasons))
            ended += self._conclude({p: reasons[p] for p in self._group.places() if p in reasons})
        return ended

    def _look(self, step: Step) -> list[Ended]:
        """Record the losses since the last look, which waits for the device to compute them."""
        axis = self._session.axis
        rows = torch.cat(self._losses).reshape(-1, axis.count).T.tolist()
        self._losses = []  # the list that a point holds stays as it is
        _, scheduled = self._session.rule.clock(step.t)
        numbers = {name: axis.values(value) for name, value in scheduled.items()}
        for name, norm in zip(("norm/update", "norm/gradient"), step.norms(), strict=True):
            numbers[name] = axis.values(norm)
        numbers["norm/params"] = axis.values(self._session.params.vector.norm(dim=-1))
        for name, extra in step.state.get(COST, {}).items():  # each step has a gradient of its own
            own = step.t + extra if name == "gradient" else extra
            numbers[f"cost/{name}_evaluations"] = axis.values(own)
        self._progress.tell(step.t, [row[-1] for row in rows])
        measured = measurement.readings(self._session, step)

        def look(place: int, run: Lane) -> None:
            if measured:
                run.record.measure(step.t, measured[place])
            own = {name: values[place] for name, values in numbers.items()}
            run.record.look(step.t - len(rows[place]) + 1, rows[place], own)

        return self._each(look)

    def _evaluate(self, step: Step) -> list[Ended]:
        """Record how good the parameters are, and remember the best so far."""
        shown = pointed(self._session, self._group.state)
        values = evaluate(shown, "val")
        if self._session.experiment.evaluate.train:
            for own, measured in zip(values, evaluate(shown, "train"), strict=True):
                own |= {"train/mean_loss": measured.pop("train/loss"), **measured}
        clock = {"seconds": time.monotonic() - self._started, **self._meter.read()}
        better: list[int] = []

        def judge(place: int, run: Lane) -> None:
            if run.record.evaluate(step.t, values[place], clock):
                better.append(place)

        ended = self._each(judge)
        return ended + self._group.remember(better, shown.trained) if better else ended

    def _each(self, act: Callable[[int, Lane], None]) -> list[Ended]:
        """Let every run take part, and end those for which that raises an error."""
        failed: dict[int, Exception] = {}
        for place, run in self._group.running():
            try:
                act(place, run)
            except Exception as error:  # of its own numbers, its own disk
                failed[place] = error
        return self._group.end(failed)

    def _conclude(self, reasons: Mapping[int, str]) -> list[Ended]:
        """Evaluate the best parameters of some runs on the test split, and end these."""
        seconds, runs = time.monotonic() - self._started, dict(self._group.running())
        results: dict[int, Result | Exception] = {}
        tests = _tested(self._group.with_best(list(reasons))) if reasons else []
        for (place, reason), test in zip(reasons.items(), tests, strict=True):
            try:
                if isinstance(test, Exception):
                    raise test
                results[place] = runs[place].record.conclude(self._t, reason, seconds, test)
            except Exception as error:  # of its own disk, its own metric
                results[place] = error
        return self._group.end(results)

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

    def _keep(self, places: Sequence[int]) -> list[Ended]:
        """Keep some of the runs as they are after the last step; return those that end by it."""
        assert self._here is not None
        start = time.monotonic()
        ended = self._group.keep(*self._here, places)
        self._kept = self._t, time.monotonic(), time.monotonic() - start
        return ended


def _tested(session: Session) -> list[dict[str, float] | Exception]:
    """Evaluate runs on the test split: together, or each alone where one stands in the way."""
    try:
        return [*evaluate(session, "test")]
    except Exception as error:
        if session.axis.count == 1:
            return [error]
    alone = (lanes.taken(session, [row], session.state) for row in range(session.axis.count))
    return [test for one in alone for test in _tested(one)]
