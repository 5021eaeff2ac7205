"""Experiments composed without a command line."""

from collections.abc import Sequence
from pathlib import Path

from experiments import config
from experiments.settings import Experiment

ROOT = Path(__file__).resolve().parents[1]
# 70 items to train on, in two batches an epoch.
SMALL = ["dataset=synthetic", "dataset.items=100", "dataset.features=4", "batch_size=35"]


def compose(overrides: Sequence[str]) -> Experiment:
    """Return the experiment that overrides describe."""
    config.publish(ROOT, "test")
    return config.plan(ROOT, "config", list(overrides), multirun=False).experiment
