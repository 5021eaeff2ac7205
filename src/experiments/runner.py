"""One run: train by the loop, look at the numbers, keep the best parameters, stop in time."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from experiments import engine, provenance, registry, report, results, snapshot
from experiments.errors import DivergedError
from experiments.evaluation import evaluate
from experiments.history import History
from experiments.journal import Tracker
from experiments.loop import Step
from experiments.meter import Meter
from experiments.progress import Progress
from experiments.provenance import Identity
from experiments.records import Tensors
from experiments.results import Result
from experiments.seeds import derive
from experiments.settings import Experiment
from experiments.setup import Session, prepare

log = logging.getLogger(__name__)


def execute(
    experiment: Experiment,
    tracker: Tracker,
    identity: Identity,
    root: Path,
    session: Session | None = None,
) -> Result:
    """Run an experiment, and record how it ends whichever way that is.

    `root` is the checkout; a session that is prepared already saves doing so again. Raises what
    stopped the run.
    """
    start = provenance.start_event(experiment, identity, root)
    tracker.add("start", **start)
    status = "KILLED"
    try:
        session = session or prepare(experiment)
        _record_origin(session, tracker, start["config"], root)
        run = Run(session, tracker)
        results.write(tracker, "tensors.txt", run.show_tensors())
        last, reason = run.train()
        result = run.conclude(last, reason)
        results.announce(result, run.history)
        results.hand_over(session, tracker, run.history, result, start)
        status = "FINISHED"
    except Exception as error:
        status = "FAILED"
        results.record_failure(tracker, error)
        raise
    finally:
        results.hand_over_logs(tracker)
        tracker.add("end", status=status)
        tracker.close()
    return result


class Run:
    """A session being trained, and what is known of it so far."""

    def __init__(self, session: Session, tracker: Tracker) -> None:
        self._session, self._tracker = session, tracker
        self.history = History(
            monitor=session.monitor,
            higher_is_better=session.higher_is_better,
            early_stopping=session.experiment.early_stopping,
        )
        self._losses: list[Tensor] = []  # of the steps since the last look, on the device
        self._best: Tensors = {}
        self._meter = Meter(session.device)
        self._progress = Progress(session)
        self._started = time.monotonic()

    def show_tensors(self) -> str:
        """Print and return the table of the run's tensors."""
        table = report.tensors(self._session)
        log.info("%s\n", table)
        return table

    def train(self) -> tuple[Step, str]:
        """Take steps until there is a reason to stop, and return the last step and the reason."""
        torch.manual_seed(derive(self._session.experiment.seed, "train"))
        self._session.model.train()
        with self._progress:
            for step in engine.steps(self._session):
                if reason := self.follow(step):
                    return step, reason
        raise AssertionError("the last step is evaluated, and a reason to stop")

    def follow(self, step: Step) -> str | None:
        """Record what a step leaves behind, and return the reason to stop, if there is one."""
        self._losses.append(step.losses)
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
        history, session = self.history, self._session
        seconds = time.monotonic() - self._started
        self._save("last", last, history.last)
        for name, tensor in self._trained().items():
            tensor.copy_(self._best[name])
        metrics = {
            **{f"best/{name}": value for name, value in history.best.items()},
            **{f"final/{name}": value for name, value in history.last.items()},
            **self._measure("test"),
        }
        more: dict[str, float] = {"best/step": history.best_step}
        if session.splits.optimum is not None:
            more["optimum"] = session.splits.optimum
        self._tracker.metrics(last.t, metrics | more)
        return Result(
            status="finished",
            reason=reason,
            step=last.t,
            seconds=seconds,
            monitor=history.monitor,
            higher_is_better=history.higher_is_better,
            metrics=metrics,
        )

    def _is_late(self) -> bool:
        limit = self._session.experiment.time_limit
        return limit is not None and time.monotonic() - self._started > limit

    def _reason_to_stop(self, t: int, *, late: bool) -> str | None:
        experiment, session = self._session.experiment, self._session
        if early := self.history.stop():
            return early
        if t == session.total_steps:
            cut = t < experiment.epochs * session.steps_per_epoch
            return f"max_steps={t}" if cut else f"epochs={experiment.epochs}"
        return f"time_limit={experiment.time_limit}" if late else None

    def _look(self, step: Step) -> None:
        """Record the losses since the last look, which waits for the device to compute them."""
        losses: list[float] = torch.cat(self._losses).tolist()
        self._losses.clear()
        first = step.t - len(losses) + 1
        self._tracker.series(first, {"train/loss": losses})
        _, scheduled = self._session.rule.clock(step.t)
        numbers = {name: value.item() for name, value in scheduled.items()}
        numbers["norm/update"] = step.change.norm().item()
        numbers["norm/params"] = self._session.params.vector.norm().item()
        self._tracker.metrics(step.t, numbers)
        self._progress.tell(step.t, losses[-1])
        for t, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise DivergedError(f"The loss is {loss} at step {t}; a smaller lr may help.")
            self.history.add(t, {"train/loss": loss})

    def _evaluate(self, step: Step) -> None:
        """Record how good the parameters are, and keep them if they are the best so far."""
        values = self._measure("val")
        if self._session.experiment.evaluate.train:
            measured = self._measure("train")
            values |= {"train/mean_loss": measured.pop("train/loss"), **measured}
        epoch = step.t / self._session.steps_per_epoch
        clock = {"epoch": epoch, "seconds": time.monotonic() - self._started}
        self._tracker.metrics(step.t, values | clock | self._meter.read())
        if not math.isfinite(values["val/loss"]):
            loss = values["val/loss"]
            raise DivergedError(f"val/loss is {loss} after step {step.t}; a smaller lr may help.")
        log.info(self._line(step, epoch, values))
        if self.history.judge(step.t, values):
            self._best = {name: tensor.clone() for name, tensor in self._trained().items()}
            self._save("best", step, values)

    def _measure(self, split: str) -> dict[str, float]:
        session = self._session
        found = evaluate(
            session.model,
            session.params.tensors,
            session.batches[split],
            loss_fn=session.loss_fn,
            metrics=session.metrics,
        )
        return {f"{split}/{name}": value for name, value in found.items()}

    def _line(self, step: Step, epoch: float, values: Mapping[str, float]) -> str:
        shown = {"train/loss": self.history.curves["train/loss"][-1][1], **values}
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        return f"epoch {epoch:<5.4g} step {step.t:<6}  {numbers}"

    def _trained(self) -> Tensors:
        return {"params": self._session.params.vector, **self._session.model.buffers}

    def _save(self, name: str, step: Step, values: Mapping[str, float]) -> None:
        if self._tracker.folder is not None:
            path = self._tracker.folder / "checkpoints" / f"{name}.safetensors"
            snapshot.save(path, self._session, step.state, values, step.t)


def _record_origin(
    session: Session, tracker: Tracker, config: Mapping[str, Any], root: Path
) -> None:
    """Record the settings, the data, the device, and what the code has beside its commit."""
    if tracker.folder is None:
        return
    results.write(tracker, "config.yaml", OmegaConf.to_yaml(config))
    if patch := provenance.patch(root):
        results.write(tracker, "code.patch", patch)
    tracker.add("tags", values={"device": provenance.device_name(session.device)})
    dataset = registry.name_of(type(session.experiment.dataset))
    tracker.add("dataset", **provenance.dataset_event(session.splits, dataset))
