"""A run's journal: the truth about it, in one append-only file of its folder.

Each line is the CRC-32 of a JSON object, a space, and the object: `event`, `time` (milliseconds
since 1970) and the event's own fields. Appending takes microseconds; MLflow is fed from the file by
another process.

| event      | fields                                                                            |
|------------|-----------------------------------------------------------------------------------|
| `start`    | `run_id`, `parent_id` or null, `experiment` of MLflow, `name`, `overrides`,       |
|            | `tags`, `params`, `config`                                                        |
| `metrics`  | `step`, `values`: name to number                                                  |
| `series`   | `first`, `values`: name to the numbers of the steps first, first + 1, ...         |
| `tags`     | `values`: name to text                                                            |
| `dataset`  | `name`, `digest`, `source`, `profile` (text), `context` (`training`)              |
| `artifact` | `path` in the run's folder, `folder` of the run's artifacts to put it in          |
| `model`    | `path` of the checkpoint in the run's folder, `input_shape`, `outputs`, and the   |
|            | `module` and `source` of the model's plugin                                       |
| `end`      | `status`: FINISHED, FAILED or KILLED                                              |
| `resume`   | `step` after which the run goes on, though it had ended or died                   |
"""

import fcntl
import json
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError

FILE = "journal.jsonl"
Event = dict[str, Any]


class Tracker(ABC):
    """Receives what happens in a run; `folder` takes its files, where there is one."""

    folder: Path | None = None

    @abstractmethod
    def add(self, event: str, **fields: Any) -> None:
        """Record one event."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Record named numbers of a step."""
        self.add("metrics", step=step, values=values)

    def series(self, first: int, values: Mapping[str, list[float]]) -> None:
        """Record named numbers of consecutive steps."""
        self.add("series", first=first, values=values)

    def artifact(self, path: str, folder: str = "") -> None:
        """Record a file of the run's folder."""
        self.add("artifact", path=path, folder=folder)

    @abstractmethod
    def close(self) -> None:
        """Release what the tracker holds."""


class Silent(Tracker):
    """Records nothing."""

    def add(self, event: str, **fields: Any) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Hold nothing."""


class Journal(Tracker):
    """Appends events to the journal of a run's folder.

    Raises ConfigError where the folder already has a journal, which is another run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._file = (folder / FILE).open("xb", buffering=0)
        except FileExistsError:
            raise ConfigError(f"The folder {folder} already holds a run; name another.") from None
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # while the run lives

    def add(self, event: str, **fields: Any) -> None:
        """Append one event, whole, in one write."""
        self._file.write(encode({"event": event, "time": time.time_ns() // 1_000_000, **fields}))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_held(folder: Path) -> bool:
    """Say whether a process is writing the journal of a run's folder."""
    with (folder / FILE).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def encode(event: Event) -> bytes:
    """Return an event as a line."""
    text = json.dumps(event, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from a byte offset on, with the offset after it.

    Stops before a line that is incomplete or whose checksum does not fit.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            checksum, _, text = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
                return
            offset += len(line)
            yield json.loads(text), offset
