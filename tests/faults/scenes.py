"""Runs that are stopped and go on, in this process, and what they leave to compare."""

import hashlib
import math
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import compose, execute
from torch import Tensor

from experiments import tensorfile
from experiments.errors import Interrupted
from experiments.process import signals
from experiments.runs import journal
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.training import engine
from experiments.training.loop import Step
from experiments.training.resume import earlier as earlier_of
from experiments.training.session import Session

Numbers = dict[tuple[str, int], float]
QUICK = [
    *(
        "device=cpu",
        "device.threads=1",
        "tracking=offline",
        "tracking.figures=false",
        "tracking.model=false",
    ),
    *("epochs=2", "batch_size=64", "log_every=7"),
]


def train(folder: Path, overrides: Sequence[str], *, resume: bool = False) -> str:
    """Train a run in a folder from its start or on, and return how it ended."""
    experiment = compose([*QUICK, *overrides, f"output={folder.parent}"])
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Journal(folder, resume=resume)
    earlier = earlier_of(folder, experiment, tracker) if resume else None
    identity = Identity(folder.name, None, "scene", list(overrides))
    try:
        with signals.raised():
            execute(experiment, tracker, identity, earlier=earlier)
    except Interrupted:
        return "interrupted"
    return "finished"


def interrupted_at(monkeypatch: pytest.MonkeyPatch, t: int, number: int = signal.SIGTERM) -> None:
    """Let the signal arrive when step `t` is done, or the first one after it."""
    steps = engine.steps

    def interrupting(session: Session, after: int = 0) -> Iterator[Step]:
        sent = False
        for step in steps(session, after):
            if step.t >= t and not sent:
                sent = True
                os.kill(os.getpid(), number)
            yield step

    monkeypatch.setattr(engine, "steps", interrupting)


def numbers(folder: Path) -> Numbers:
    """Return every number of a run's journal that no clock or meter has; each is there once."""
    found: Numbers = {}
    for event, _ in journal.read(folder / journal.FILE):
        if event["event"] in journal.NUMBERS:
            for name, step, value in journal.points(event):
                assert (name, step) not in found
                found[name, step] = value
    return {key: v for key, v in found.items() if not key[0].startswith(journal.MEASURED)}


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that a finished run has computed, as plain data that compares to the bit."""
    found: dict[str, Any] = {"numbers": {k: float(v).hex() for k, v in numbers(folder).items()}}
    for name in ("best", "last"):
        tensors, facts = tensorfile.load(folder / "checkpoints" / f"{name}.safetensors")
        found[name] = {key: _digest(tensor) for key, tensor in tensors.items()}
        found[f"{name} values"] = {
            k: v for k, v in facts.items() if k not in {"position", "seconds", "run_id"}
        }
    return found


def _digest(tensor: Tensor) -> str:
    data = tensor.flatten().view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {list(tensor.shape)} {hashlib.sha256(data).hexdigest()}"


def same(first: Any, second: Any) -> bool:
    """Compare outcomes, in which NaN is NaN."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, float) and math.isnan(first):
        return isinstance(second, float) and math.isnan(second)
    return bool(first == second)
