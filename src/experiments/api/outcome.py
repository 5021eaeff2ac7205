"""What has come of a command: one run, or those of a sweep."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from experiments.runs.result import Result
from experiments.runs.tracker import Tracker
from experiments.training.session import Session


@dataclass(frozen=True, slots=True)
class Single:
    """A run that has come to its end: its session has the best parameters."""

    result: Result
    session: Session
    tracker: Tracker


@dataclass(frozen=True, slots=True)
class Multiple:
    """A sweep that has come to its end: why jobs failed, by number; `kept` if its folder stays."""

    folder: Path
    failures: dict[int, str]
    kept: bool

    def close(self) -> None:
        """Remove what is not to be kept."""
        if not self.kept:
            shutil.rmtree(self.folder)
