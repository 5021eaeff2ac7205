"""Experiments composed without a command line."""

from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import publish
from experiments.runs.provenance import Identity
from experiments.runs.result import Result
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.sweeps import plan
from experiments.training import run
from experiments.training.resume import Earlier
from experiments.training.run import Run
from experiments.training.session import Session

ROOT = Path(__file__).resolve().parents[2]
# 70 items to train on, in two batches an epoch.
SMALL = ["dataset=synthetic", "dataset.items=100", "dataset.features=4", "batch_size=35"]


def compose(overrides: Sequence[str]) -> Experiment:
    """Return the experiment that overrides describe."""
    publish(ROOT, "test")
    return plan.plan(ROOT, "config", list(overrides), multirun=False).experiment


def execute(
    experiment: Experiment,
    tracker: Tracker,
    identity: Identity | None = None,
    *,
    session: Session | None = None,
    earlier: Earlier | None = None,
) -> Result:
    """Make one run, and return its result; raise what stopped it."""
    made = Run(
        experiment=experiment,
        identity=identity or Identity("id", None, "name", []),
        tracker=tracker,
        earlier=earlier,
    )
    ((_, outcome),) = run.execute([made], ROOT, session)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
