"""What is recorded of one run while it trains, and whether that is a reason to stop."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence

from experiments.errors import DivergedError
from experiments.runs.events import Event
from experiments.runs.result import Result, Status
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.text import rounded
from experiments.training import judge
from experiments.training.diagnostics.measurement import WHOLE, Layers
from experiments.training.history import History
from experiments.training.session import Session


def planned_end(session: Session, t: int) -> str | None:
    """Say why there is no step after step `t`, or None where there is one."""
    if t < session.total_steps:
        return None
    experiment = session.experiment
    cut = t < experiment.epochs * session.steps_per_epoch
    return f"max_steps={t}" if cut else f"epochs={experiment.epochs}"


class Record:
    """A run's numbers on their way to its tracker, its history and its log.

    `job` is its number in a sweep. Its methods raise DivergedError where a number that counts is
    not finite, unless the experiment goes on all the same.
    """

    def __init__(
        self,
        experiment: Experiment,
        session: Session,
        tracker: Tracker,
        log: logging.Logger,
        job: int | None,
    ) -> None:
        self.history = History(
            monitor=session.monitor,
            higher_is_better=session.higher_is_better,
            early_stopping=experiment.early_stopping,
        )
        self._strict, self._tracker = experiment.stop_on_divergence, tracker
        self._log, self._job = log, job
        self._steps_per_epoch = session.steps_per_epoch
        self._optimum = session.splits.optimum
        self._status = Status.finished

    def look(self, first: int, losses: Sequence[float], numbers: Mapping[str, float]) -> None:
        """Take the losses of the steps since the last look, and numbers of the last of them."""
        self._tracker.series(first, {"train/loss": list(losses)})
        self._tracker.metrics(first + len(losses) - 1, numbers)
        for t, loss in enumerate(losses, start=first):
            self._check_finite(f"The loss is {loss} at step {t}", loss, t)
            self.history.add(t, {"train/loss": loss})

    def measure(self, t: int, layers: Layers) -> None:
        """Take what was measured of a step, of which MLflow is told a few numbers of the whole."""
        whole = {name: value for name, value in layers[WHOLE].items() if "/" not in name}
        self._tracker.metrics(t, {f"diagnostics/{name}": value for name, value in whole.items()})
        self._tracker.add("layers", step=t, layers=layers)

    def evaluate(self, t: int, values: Mapping[str, float], clock: Mapping[str, float]) -> bool:
        """Take the values of an evaluation, and say whether it is the best so far."""
        epoch = t / self._steps_per_epoch
        self._tracker.metrics(t, values)
        self._tracker.metrics(t, {"epoch": epoch, **clock})
        for name in ("val/loss", self.history.monitor):
            value = values[name]
            self._check_finite(f"{name} is {value} after step {t}", value, t)
        shown = {"train/loss": self.history.curves["train/loss"][-1][1], **values}
        numbers = "  ".join(f"{name} {rounded(value)}" for name, value in shown.items())
        self._log.info(f"epoch {epoch:<5.4g} step {t:<6}  {numbers}")
        return self.history.judge(t, values)

    def replay(self, events: Iterable[Event]) -> None:
        """Take the numbers that an earlier part of the run has left, and let the judge see them."""
        self.history.replay(events)
        if self._job is not None:
            for step, value in self.history.curves.get(self.history.monitor, ()):
                judge.is_given_up(self._job, step, value)

    def reason_to_stop(self, t: int) -> str | None:
        """Say why the last evaluation is a reason to end early, or None."""
        if early := self.history.stop():
            return early
        value = self.history.last[self.history.monitor]
        if self._job is not None and judge.is_given_up(self._job, t, value):
            self._status = Status.pruned
            return f"{self.history.monitor} {value:.4g} is not worth going on with"
        return None

    def conclude(self, t: int, reason: str, seconds: float, test: Mapping[str, float]) -> Result:
        """Take the values of the test split, and return how the run has ended."""
        history = self.history
        metrics = {
            **{f"best/{name}": value for name, value in history.best.items()},
            **{f"final/{name}": value for name, value in history.last.items()},
            **test,
        }
        more: dict[str, float] = {"best/step": history.best_step}
        if self._optimum is not None:
            more["optimum"] = self._optimum
        self._tracker.metrics(t, metrics | more)
        return Result(
            status=self._status,
            reason=reason,
            step=t,
            seconds=seconds,
            monitor=history.monitor,
            higher_is_better=history.higher_is_better,
            metrics=metrics,
        )

    def _check_finite(self, what: str, value: float, t: int) -> None:
        if self._strict and not math.isfinite(value):
            raise DivergedError(f"{what}; a smaller lr may help.", t)
