"""How far a run's upload has come, kept in the run's folder: one position a store.

Uploading again from an older position changes nothing in MLflow; it only takes time.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.tracking.decimation import Decimation

FILE = "upload.json"
_LOCK = "upload.lock"
_MOST_REFUSED = 20  # texts that are kept


@dataclass(slots=True)
class Position:
    """A run in one store: its ids there, and the bytes of its journal that the store has."""

    experiment_id: str = ""
    mlflow_run_id: str = ""
    offset: int = 0
    step: int = 0  # the highest of a metric
    time: int = 0  # of the last event, in milliseconds since 1970
    ended: bool = False
    refused: list[str] = field(default_factory=list)  # what the store did not take, and why
    decimation: Decimation = field(default_factory=Decimation)

    def refuse(self, text: str) -> None:
        """Remember something that the store does not take."""
        if text not in self.refused and len(self.refused) < _MOST_REFUSED:
            self.refused.append(text)


class BusyError(Exception):
    """Another process is uploading the run."""


def recorded(folder: Path, store: str) -> Position | None:
    """Return a run's position in a store; None where it was never meant for that store."""
    facts = _all(folder).get(store)
    if facts is None:
        return None
    try:
        given = facts["decimation"]
        left_out = {name: tuple(rest) for name, rest in given["left_out"].items()}
        decimation = Decimation(dict(given["counts"]), left_out, given["dense"])
        return Position(**{**facts, "decimation": decimation})
    except (TypeError, KeyError, ValueError):  # of another version: sent again from the start
        return Position()


def record(folder: Path, store: str, position: Position) -> None:
    """Keep a position, whole or not at all."""
    text = json.dumps(_all(folder) | {store: asdict(position)})
    part = folder / f"{FILE}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(folder / FILE)


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Let this process alone upload the run meanwhile; raise BusyError where another one does.

    A folder that may only be read is claimed by nobody: nothing is kept there either.
    """
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        yield
    finally:
        os.close(lock)


def _all(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
