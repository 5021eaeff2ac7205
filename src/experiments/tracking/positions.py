"""How far a run's upload has come, kept in the run's folder: one position a store.

Uploading again from an older position changes nothing in MLflow; it only takes time.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.tracking.decimation import Decimation

FILE = "upload.json"
_LOCK = "upload{}.lock"
_LOOK = 0.05  # seconds between two attempts to get what another process has
_WRITING = 10.0  # seconds that another process may take to keep a position
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
    """Another process is sending the run to the store."""


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
    with _locked(folder, "", wait=_WRITING):  # the file has those of all stores
        text = json.dumps(_all(folder) | {store: asdict(position)})
        part = folder / f"{FILE}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / FILE)


def version(folder: Path) -> str:
    """Return what changes whenever a position of a run is kept."""
    try:
        facts = (folder / FILE).stat()
    except OSError:
        return ""
    return f"{facts.st_ino} {facts.st_mtime_ns}"


@contextmanager
def claim(folder: Path, store: str, wait: float = 0.0) -> Iterator[None]:
    """Let this process alone send the run to the store meanwhile.

    Raises BusyError where another one still does after so many seconds. A folder that may only be
    read is claimed by nobody: nothing is kept there either.
    """
    with _locked(folder, f"-{zlib.crc32(store.encode()):08x}", wait):
        yield


@contextmanager
def _locked(folder: Path, name: str, wait: float) -> Iterator[None]:
    path, end = folder / _LOCK.format(name), time.monotonic() + wait
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        yield
        return
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise BusyError from None
            time.sleep(_LOOK)
        yield
    finally:
        os.close(lock)


def _all(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
