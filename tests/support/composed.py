"""Experiments composed without a command line."""

from collections.abc import Sequence
from pathlib import Path

from experiments.config.compose import publish
from experiments.settings import Experiment
from experiments.sweeps import plan

ROOT = Path(__file__).resolve().parents[2]
# 70 items to train on, in two batches an epoch.
SMALL = ["dataset=synthetic", "dataset.items=100", "dataset.features=4", "batch_size=35"]


def compose(overrides: Sequence[str]) -> Experiment:
    """Return the experiment that overrides describe."""
    publish(ROOT, "test")
    return plan.plan(ROOT, "config", list(overrides), multirun=False).experiment
