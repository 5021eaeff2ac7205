"""Training a model: look at the numbers, keep the best parameters and the run, stop in time."""

import dataclasses
import logging
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.errors import Interrupted
from experiments.plugin.spec import Tensors
from experiments.process import signals
from experiments.report import summary
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Keeper
from experiments.runs.results import Result
from experiments.runs.tracker import Tracker
from experiments.training import checkpoint, engine, lanes
from experiments.training.checkpoint import Point
from experiments.training.loop import Step
from experiments.training.meter import Meter
from experiments.training.progress import Progress
from experiments.training.record import Record, planned_end
from experiments.training.resume import Earlier
from experiments.training.session import Session

log = logging.getLogger(__name__)


class Training:
    """A session being trained, and what is known of it so far."""

    def __init__(
        self, session: Session, tracker: Tracker, run_id: str, job: int | None = None
    ) -> None:
        self._session, self._tracker, self._run_id = session, tracker, run_id
        self._record = Record(session.experiment, session, tracker, log, job)
        self.history = self._record.history
        self._losses: list[Tensor] = []  # of the steps since the last look, on the device
        self._best: Tensors = {}
        self._meter = Meter(session.device)
        self._progress = Progress(session)
        self._started = time.monotonic()
        self._done: Point | None = None  # of a run that goes on
        self._kept = 0, time.monotonic()  # the step and the moment of the last checkpoint
        self._keeper: Keeper | None = None
        if tracker.folder is not None:
            beside = session.experiment.data.workers == 0
            self._keeper = Keeper(tracker.folder, tracker.sync, beside=beside)

    def go_on(self, earlier: Earlier) -> None:
        """Bring back what an earlier part of the run has left, and say so in the journal."""
        step = looked = 0
        if earlier.content is not None:
            self._done = point = checkpoint.bring_back(self._session, *earlier.content)
            step, looked = point.step.t, point.step.t - len(point.step.losses)
            self._best = point.best
        self.history.replay(earlier.before(step, looked))
        self._tracker.expect(step, looked)
        self._tracker.add("resume", step=step)
        self._tracker.add("tags", values=earlier.tags(step))
        log.info("resume   after step %d", step)

    def show_tensors(self) -> str:
        """Print and return the table of the run's tensors."""
        table = summary.tensors(self._session)
        log.info("%s\n", table)
        return table

    def train(self) -> tuple[Step, str]:
        """Take steps until there is a reason to stop, and return the last step and the reason."""
        session, after = self._session, 0
        self._started = time.monotonic()
        if self._done is None:
            torch.manual_seed(derive(session.experiment.seed, "train"))
        else:
            self._started -= self._done.seconds
            after = self._done.step.t
            session = dataclasses.replace(session, state=self._done.step.state)
            self._kept = after, time.monotonic()
        session.model.train()
        try:
            with self._progress.after(after), signals.deferred():
                for step in self._and_before(engine.steps(session, after)):
                    if reason := self.take(step):
                        return step, reason
        finally:
            if self._keeper:
                self._keeper.finish()
        raise AssertionError("the last step is evaluated, and a reason to stop")

    def _and_before(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Yield the steps after that which an earlier part of the run was kept at, as it was."""
        if self._done is not None:
            yield self._done.step
        yield from steps

    def take(self, step: Step) -> str | None:
        """Keep the run, where it is time to, and follow a step, which a signal may interrupt."""
        self._losses.append(step.losses)
        seconds = time.monotonic() - self._started
        point = Point(step, self._losses, self._best, self._tracker.position(), seconds)
        try:
            signals.check()
            if self._is_due(step.t):
                self._keep(point)
            reason = self._follow(step)
            signals.check()
        except Interrupted:
            self._keep(point)
            raise
        if reason:
            self._keep(point)
        return reason

    def _follow(self, step: Step) -> str | None:
        """Record what a step leaves behind, and return the reason to stop, if there is one."""
        self._progress.add(step)
        late = self._is_late()
        if late or self._session.is_evaluated(step.t):
            self._look(step)
            self._evaluate(step)
            return self._reason_to_stop(step.t, late=late)
        if self._session.is_stop(step.t):
            self._look(step)
        return None

    def conclude(self, last: Step, reason: str) -> Result:
        """Save the last parameters, go back to the best, and evaluate them on the test split."""
        seconds = time.monotonic() - self._started
        for name, tensor in self._trained().items():
            tensor.copy_(self._best.get(name, tensor))  # there is none where all diverged
        return self._record.conclude(last.t, reason, seconds, self._measure("test"))

    def _is_late(self) -> bool:
        limit = self._session.experiment.time_limit
        return limit is not None and time.monotonic() - self._started > limit

    def _reason_to_stop(self, t: int, *, late: bool) -> str | None:
        if reason := self._record.reason_to_stop(t) or planned_end(self._session, t):
            return reason
        return f"time_limit={self._session.experiment.time_limit}" if late else None

    def _look(self, step: Step) -> None:
        """Record the losses since the last look, which waits for the device to compute them."""
        losses: list[float] = torch.cat(self._losses).tolist()
        self._losses = []  # the list that a point holds stays as it is
        _, scheduled = self._session.rule.clock(step.t)
        numbers = {name: value.item() for name, value in scheduled.items()}
        numbers["norm/update"] = step.change.norm().item()
        numbers["norm/params"] = self._session.params.vector.norm().item()
        self._progress.tell(step.t, losses[-1])
        self._record.look(step.t - len(losses) + 1, losses, numbers)

    def _evaluate(self, step: Step) -> None:
        """Record how good the parameters are, and keep them if they are the best so far."""
        values = self._measure("val")
        if self._session.experiment.evaluate.train:
            measured = self._measure("train")
            values |= {"train/mean_loss": measured.pop("train/loss"), **measured}
        clock = {"seconds": time.monotonic() - self._started, **self._meter.read()}
        if self._record.evaluate(step.t, values, clock):
            self._best = {name: tensor.clone() for name, tensor in self._trained().items()}
            if self._keeper:
                self._keeper.keep(
                    checkpoints.BEST, *checkpoint.of_model(self._session, step.t, values)
                )

    def _measure(self, split: str) -> dict[str, float]:
        (values,) = lanes.evaluate(self._session, split)
        return values

    def _trained(self) -> Tensors:
        return {"params": self._session.params.vector, **self._session.model.buffers}

    def _is_due(self, t: int) -> bool:
        """Say whether it is time to keep the run."""
        session = self._session
        return checkpoints.is_due(
            session.experiment.checkpoint, session.steps_per_epoch, t, *self._kept
        )

    def _keep(self, point: Point) -> None:
        """Keep the run at a point, unless its parameters are no longer finite."""
        self._kept = point.step.t, time.monotonic()
        if self._keeper and self._session.params.vector.isfinite().all():
            values = self.history.last
            content = checkpoint.of_run(self._session, point, values, self._run_id)
            self._keeper.keep(checkpoints.LAST, *content)
