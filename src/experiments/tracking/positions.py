"""How far a run's upload has come, kept in the run's folder: one position a store.

Uploading again from an older position changes nothing in MLflow; it only takes time. A folder may
come from elsewhere, with positions that somebody made up: each is checked where it is read.
"""

import fcntl
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.errors import DataError
from experiments.runs import enclosure
from experiments.runs.events import Check, each, is_number, is_text, is_whole, named
from experiments.tracking.decimation import Decimation

FILE = "upload.json"
_LOCK = "upload{}.lock"
_LOOK = 0.05  # seconds between two attempts to get what another process has
_WRITING = 10.0  # seconds that another process may take to keep a position
_MOST_REFUSED = 20  # texts that are kept
_LARGEST = 2**24  # bytes of the file
_PROOF = "lock"  # of a position, the lock's marks


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
        return _position(facts)
    except (TypeError, KeyError, ValueError, AttributeError):  # of another version, or made up
        return Position()  # sent again from the start


def is_own(folder: Path, store: str) -> bool:
    """Say whether a position was recorded in this very folder, and not brought along with it.

    It names the number and the time of the lock beside it, which no archive and no copy can have:
    the file system gives them.
    """
    facts, marks = _all(folder).get(store), _marks(folder)
    return marks is not None and isinstance(facts, dict) and facts.get(_PROOF) == marks


def record(folder: Path, store: str, position: Position) -> None:
    """Keep a position, whole or not at all."""
    with _locked(folder, "", wait=_WRITING):  # the file has those of all stores
        facts = asdict(position) | {_PROOF: _marks(folder)}
        text = json.dumps(_all(folder) | {store: facts})
        part = folder / f"{FILE}.part"
        part.unlink(missing_ok=True)  # of a process that was killed, or a link to elsewhere
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
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
        found = json.loads(enclosure.text_of(folder / FILE, _LARGEST))
    except (OSError, DataError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _marks(folder: Path) -> list[int] | None:
    try:
        status = (folder / _LOCK.format("")).lstat()
    except OSError:
        return None
    return [status.st_ino, status.st_ctime_ns]


_FIELDS: dict[str, Check] = {
    "experiment_id": lambda value: is_text(value) and bool(re.fullmatch(r"\d{0,30}", value)),
    "mlflow_run_id": lambda value: is_text(value) and bool(re.fullmatch(r"[0-9a-f]{0,64}", value)),
    "offset": is_whole,
    "step": is_whole,
    "time": is_whole,
    "ended": lambda value: isinstance(value, bool),
    "refused": each(is_text),
}


def _position(facts: Any) -> Position:
    """Return the position of plain facts; raise an error where they are none."""
    for name, check in _FIELDS.items():
        if not check(facts[name]):
            raise ValueError(name)
    given, own = facts["decimation"], {name: facts[name] for name in _FIELDS}
    counts, dense = given["counts"], given["dense"]
    left_out = {name: tuple(rest) for name, rest in given["left_out"].items()}
    if not (named(is_whole)(counts) and is_whole(dense) and dense > 0):
        raise ValueError("decimation")
    for step, value, moment in left_out.values():
        if not (is_whole(step) and is_number(value) and is_whole(moment)):
            raise ValueError("decimation")
    return Position(**own, decimation=Decimation(counts, left_out, dense))
