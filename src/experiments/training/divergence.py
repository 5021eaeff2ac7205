"""Where a run that diverged went wrong: its last steps are taken again, one by one."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.errors import DivergedError
from experiments.plugin import registry
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.runs import checkpoints
from experiments.runs.checkpoints import Content
from experiments.runs.tracker import Tracker
from experiments.training import checkpoint, engine
from experiments.training.loop import Step, descend
from experiments.training.session import Session

log = logging.getLogger(__name__)


def located(
    error: DivergedError,
    fresh: Callable[[], Session],
    tracker: Tracker,
    run_id: str,
    *,
    longest: float,
) -> DivergedError:
    """Return a run's error with what its last steps show when they are taken again.

    A `fresh` session is one that is prepared anew; that takes so many seconds at the `longest`.
    """
    folder = tracker.folder
    try:
        content = checkpoints.newest(folder, run_id, tracker.position()) if folder else None
        shown = found(fresh(), content, error.t, longest=longest)
    except Exception as other:  # it must not hide why the run ended
        log.warning("The last steps could not be taken again: %s", other)
        return error
    told = DivergedError(f"{error} {shown}".rstrip(), error.t)
    told.__cause__ = error
    return told


def found(session: Session, content: Content | None, t: int, *, longest: float) -> str:
    """Say which parameter was not finite first, up to step `t`; nothing where that takes too long.

    The session is prepared anew; the steps are those after the checkpoint, or all. Random numbers
    of others that train stay as they are.
    """
    started = time.monotonic()
    devices = [session.device] if session.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(session.experiment.seed, "train"))
        point = checkpoint.bring_back(session, [content]) if content else None
        rule = _Witness(session.rule)
        for step in _again(session, rule, point.step if point else None):
            if time.monotonic() - started > longest:
                break
            if not session.params.vector.isfinite().all():
                worst = _worst(session.params, session.params.vector)
                told = f"{worst} was the first that was not finite, after step {step}"
                return f"{told}, {_cause(session, rule)}."
            if step >= t - 1:
                worst = _worst(session.params, session.params.vector)
                return f"All parameters were finite until then; {worst} was largest."
    return ""


class _Witness:
    """A rule, and the last gradient that it was given."""

    def __init__(self, rule: Rule) -> None:
        self._rule, self.gradient = rule, Tensor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def update(self, params: Params, *more: Any) -> Any:
        """Return what the rule returns."""
        self.gradient = params.gradient.clone()
        return self._rule.update(params, *more)


def _cause(session: Session, rule: _Witness) -> str:
    """Say whether the gradient was not finite, or what the rule has made of it."""
    if not rule.gradient.isfinite().all():
        return f"whose gradient of {_worst(session.params, rule.gradient)} was not"
    name = registry.name_of(type(session.experiment.optimizer))
    return f"which optimizer={name} made of finite gradients"


def _again(session: Session, rule: Any, before: Step | None) -> Iterator[int]:
    after, state = (before.t, before.state) if before else (0, session.state)
    yield after
    session.model.train()
    for step in descend(
        session.model,
        session.loss_fn,
        rule,
        session.params,
        state,
        engine.batches(session, after),
        first=after + 1,
    ):
        yield step.t


def _worst(params: Params, vector: Tensor) -> str:
    """Name the parameter with the largest value in a vector, infinite ones and NaN before all."""
    largest = {
        name: tensor.abs().nan_to_num(torch.inf, torch.inf).max().item()
        for name, tensor in params.layout.split(vector).items()
    }
    name = max(largest, key=largest.__getitem__)
    return f"{name} ({largest[name]:.3g})"
