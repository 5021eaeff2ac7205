"""A run's journal: the truth about it, in one append-only file of its folder.

Each line is the CRC-32 of a JSON object, a space, and the object, which is an event. Appending
takes microseconds; MLflow is fed from the file by another process.
"""

import errno
import fcntl
import math
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from experiments.errors import ConfigError, DataError
from experiments.runs import enclosure, events
from experiments.runs.events import Event
from experiments.runs.tracker import Tracker

FILE = "journal.jsonl"
_NEW = "journal.new"  # what it is called until its first event is whole
NUMBERS = ("metrics", "series")  # the events that hold numbers of steps
LONGEST = 2**26  # bytes of a line: JSON takes twenty times as much in memory
MEASURED = ("seconds", "system/")  # what numbers' names begin with that differ each time


class Journal(Tracker):
    """Appends events to the journal of a run's folder, which it locks while the run lives.

    The file is there from the first event on: a run is seen with its start, or not at all. Raises
    ConfigError where another process writes there, where there is a run already, or, to `resume`,
    where there is none. Then `past` has the events that are there, until their numbers are
    expected: those that come again are compared with them, and not appended.
    """

    def __init__(self, folder: Path, *, resume: bool = False) -> None:
        self.folder, self._is_begun = folder, resume
        self._file = _opened(folder / (FILE if resume else _NEW), create=not resume)
        _open.add(self)
        if not resume:
            self._refuse_another()
            if self._file.tell():  # it is of a process that was killed
                self._file.truncate(self._file.seek(0))
        self.past: list[Event] = []
        self.dropped = self._cut() if resume else 0  # damaged bytes after the last good record
        self._known: dict[tuple[str, int], float] = {}
        self.difference = ""  # the first number that came again otherwise than before

    def add(self, event: str, **fields: Any) -> None:
        """Append one event, whole, in one write."""
        if self._known and event in NUMBERS:
            fields = self._new(event, fields)
            if not fields["values"]:
                return
        line = events.encode({"event": event, "time": time.time_ns() // 1_000_000, **fields})
        if (written := self._file.write(line)) < len(line):
            self._file.truncate(self._file.seek(-written, os.SEEK_CUR))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        if not self._is_begun:
            self.path.with_name(_NEW).replace(self.path)
            self._is_begun = True

    def position(self) -> int:
        """Return the number of bytes written so far."""
        return self._file.tell()

    def expect(self, step: int, looked: int) -> None:
        """Take the numbers of a step and later ones, of losses after `looked`, as to come again.

        A run that begins anew, at step 0, has all of them again.
        """
        past, self.past = self.past or [event for event, _ in read(self.path)], []
        for event in past:
            if event["event"] in NUMBERS:
                first = looked + 1 if step and event["event"] == "series" else step
                self._known |= {(name, t): value for name, t, value in points(event) if t >= first}

    def sync(self) -> None:
        """Wait until all that was appended is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, which gives the folder free."""
        if not (self._is_begun or self._file.closed):
            with suppress(OSError):
                self.path.with_name(_NEW).unlink()
        self._file.close()

    @property
    def path(self) -> Path:
        """The journal's file."""
        assert self.folder is not None
        return self.folder / FILE

    def _refuse_another(self) -> None:
        """Give the folder up, and raise ConfigError, where it holds a run."""
        with suppress(FileNotFoundError):
            if not self.path.stat().st_size:
                return
            hint = "already holds a run"
            if is_held(self.path.parent):
                hint = "is busy: another process runs in it"
            self.close()
            raise ConfigError(f"The folder {self.folder} {hint}; name another.")

    def _cut(self) -> int:
        """Go to the end of the last good record, and return how many bytes stood after it."""
        good = 0
        for event, good in read(self.path):  # noqa: B007  # the last offset is what counts
            self.past.append(event)
        rest = self._file.seek(0, os.SEEK_END) - good
        self._file.seek(good)
        self._file.truncate()
        return rest

    def _new(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields without the numbers that are known, having compared those."""
        if event == "metrics":
            step, values = fields["step"], fields["values"]
            new = {n: v for n, v in values.items() if not self._is_known(n, step, v)}
            return {"step": step, "values": new}
        first: int = fields["first"]
        ((name, series),) = fields["values"].items()
        known = [self._is_known(name, step, v) for step, v in enumerate(series, start=first)]
        skip = known.index(False) if False in known else len(known)
        new = {name: series[skip:]} if skip < len(series) else {}
        return {"first": first + skip, "values": new}

    def _is_known(self, name: str, step: int, value: float) -> bool:
        before = self._known.pop((name, step), None)
        if before is None:
            return False
        same = before == value or (math.isnan(before) and math.isnan(value))
        if not same and not self.difference and not name.startswith(MEASURED):
            self.difference = f"{name} at step {step} is {value!r}, and was {before!r}"
        return True


# A forked child, such as a loader's worker, would hold the locks of its parent's journals.
_open: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _close_all() -> None:
    for journal in _open:
        journal._file.close()


os.register_at_fork(after_in_child=_close_all)


def _locked(file: IO[bytes]) -> bool:
    """Lock a journal, which a process that only asks whether it is held has for a moment too."""
    for pause in (0.0, 0.02, 0.05, 0.1):
        time.sleep(pause)
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _opened(path: Path, *, create: bool) -> IO[bytes]:
    """Open a journal, or one that is to be, and lock it; raise ConfigError."""
    try:
        if not create:
            enclosure.open_plain(path).close()  # what is no plain file is not written to
        file = path.open("a+b" if create else "r+b", buffering=0)
    except FileNotFoundError:
        if create:  # its folder is not there
            raise
        raise ConfigError(f"The folder {path.parent} holds no run: it has no {FILE}.") from None
    if _locked(file):
        with suppress(FileNotFoundError):  # it may have got its name, or gone, meanwhile
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
    file.close()
    raise ConfigError(f"The folder {path.parent} is busy: another process runs in it.")


def is_held(folder: Path) -> bool:
    """Say whether a process is writing the journal of a run's folder."""
    return _is_locked(folder / FILE)


def is_set_up(folder: Path) -> bool:
    """Say whether a process is about to begin the journal of a run's folder."""
    with suppress(FileNotFoundError):
        return _is_locked(folder / _NEW)
    return False


def _is_locked(path: Path) -> bool:
    with enclosure.open_plain(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from a byte offset on, with the offset after it.

    Stops before a line that holds none. Raises DataError where the file is no plain one.
    """
    with enclosure.open_plain(path) as file:
        file.seek(offset)
        while line := file.readline(LONGEST):
            try:
                event = events.decode(line)
            except ValueError:
                return
            offset += len(line)
            yield event, offset


def points(event: Event) -> Iterator[tuple[str, int, float]]:
    """Yield name, step and value of every number in an event that holds numbers."""
    for name, values in event["values"].items():
        if event["event"] == "metrics":
            yield name, event["step"], values
            continue
        for step, value in enumerate(values, start=event["first"]):
            yield name, step, value


def start_of(folder: Path) -> Event:
    """Return the first event of a run; raise ConfigError where the folder holds none."""
    try:
        event, _ = next(read(folder / FILE))
    except (OSError, DataError, StopIteration):
        raise ConfigError(f"The folder {folder} holds no run that could be read.") from None
    return event
