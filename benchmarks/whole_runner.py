"""This program as a contender: its runner, with records, metrics and the journal."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import ours
from benchmarks.data import Data
from benchmarks.race import CHECKOUT
from benchmarks.work import Take, Work
from experiments.runs.checkpoints import Keeper
from experiments.runs.journal import Journal
from experiments.runs.tracker import Tracker
from experiments.sweeps import plan
from experiments.training import engine
from experiments.training.group import Lane
from experiments.training.record import Record
from experiments.training.session import Session, prepare
from experiments.training.train import Training


def training_of(session: Session, tracker: Tracker) -> Training:
    """Return a training that takes its steps from whoever asks."""
    record = Record(session.experiment, session, tracker, logging.getLogger(), None)
    lane = Lane(run_id="benchmark", tracker=tracker, record=record)
    if tracker.folder is not None:
        lane.keeper = Keeper(tracker.folder, tracker.sync, beside=True)
    return Training(session, [lane])


def take(work: Work, data: Data, more: Sequence[str] = ()) -> Take:
    """Return the function that takes n steps, with further settings."""
    folder = tempfile.mkdtemp()
    ours.publish()
    settings = [
        "dataset=fashion_mnist",
        f"dataset.root={data.root.resolve()}",
        "dataset.val_fraction=0",
        "device=cpu",
        f"model={work.name}",
        f"optimizer={work.rule}",
        f"optimizer.lr={work.lr}",
        f"batch_size={work.batch_size}",
        "data.drop_last=true",
        "epochs=100000",
        "evaluate.every=100000",  # no peer evaluates
        f"output={folder}",
        *more,
    ]
    session = prepare(plan.plan(CHECKOUT, "config", settings, multirun=False).experiment)
    training = training_of(session, Journal(Path(folder)))
    steps = engine.steps(session)
    goal = taken = 0

    def function(n: int) -> None:
        # A compiled program takes several steps at once: what is too much now is left out later.
        nonlocal goal, taken
        goal += n
        while taken < goal:
            step = next(steps)
            training.take(step)
            taken += len(step.losses)

    return function
