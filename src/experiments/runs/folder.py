"""A run on disk, as whoever looks at it later finds it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tensorfile
from experiments.errors import ConfigError, DataError
from experiments.plugin.description import flatten
from experiments.process.secrecy import clean
from experiments.runs import checkpoints, enclosure, journal
from experiments.runs.checkpoints import Content
from experiments.runs.events import Event, each, is_id, is_text
from experiments.runs.result import FILE, MOST, NONE, Result, Status

REUSED = "reused.json"  # in the folder of a job, the run whose result stands for it
_LONGEST = 2**16  # bytes of such a file
_STORES = ("mlartifacts", "mlruns")  # which hold copies of journals, that are no runs


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a run: what its journal, its result and its checkpoints say of it."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether there is a run: a journal without an event is none."""
        with suppress(OSError):
            return (self.path / journal.FILE).stat().st_size > 0
        return False

    @property
    def is_held(self) -> bool:
        """Whether a process is writing the journal."""
        return journal.is_held(self.path)

    @property
    def start(self) -> Event:
        """The journal's first event; raises ConfigError where there is none."""
        return journal.start_of(self.path)

    def events(self) -> Iterator[Event]:
        """Yield what the journal holds."""
        return (event for event, _ in journal.read(self.path / journal.FILE))

    @property
    def end(self) -> str | None:
        """FINISHED, FAILED or KILLED as the journal ends, None where it does not or goes on."""
        return end_of(self.events())

    @property
    def data(self) -> str | None:
        """The digest of the data, None where the journal does not come to name it."""
        return data_of(self.events())

    @property
    def status(self) -> Status:
        """How the run has ended."""
        if not self.exists or self.end in (None, "KILLED"):
            return Status.unfinished
        return self.result.status

    @property
    def result(self) -> Result:
        """The result as the run left it, one that says so where it left none."""
        try:
            return Result.of_json(enclosure.text_of(self.path / FILE, MOST))
        except (OSError, DataError, ValueError, TypeError, KeyError, RecursionError):
            return NONE

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by their dotted names."""
        return flatten(self.start["config"])

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return a metric's values with their steps, in the order of the journal."""
        return [
            (step, value)
            for event in self.events()
            if event["event"] in journal.NUMBERS and name in event["values"]
            for metric, step, value in journal.points(event)
            if metric == name
        ]

    def checkpoint(self, name: str = checkpoints.BEST) -> Content:
        """Return a checkpoint's tensors and facts; raise DataError where it cannot be read."""
        return tensorfile.load(self.path / checkpoints.FOLDER / name)

    @property
    def source(self) -> "Folder":
        """The folder of the run whose result stands for this one; mostly it is this one."""
        facts = {} if self.exists else self._reused()
        return Folder(Path(facts["folder"])) if facts else self

    @property
    def job(self) -> Mapping[str, Any]:
        """Our id of the run and its `overrides`; raises ConfigError where there is none.

        A job has them too for which another run stands.
        """
        return ({} if self.exists else self._reused()) or self.start

    def reuse(self, other: "Folder", run_id: str, overrides: Sequence[str]) -> None:
        """Refer from this folder, which is made, to the run whose result stands for it."""
        self.path.mkdir(parents=True, exist_ok=True)
        facts = {"folder": str(other.path.resolve()), "run_id": run_id, "overrides": overrides}
        (self.path / REUSED).write_text(json.dumps(clean(facts)), encoding="utf-8")

    def _reused(self) -> dict[str, Any]:
        checks = {"folder": is_text, "run_id": is_id, "overrides": each(is_text)}
        try:
            facts = json.loads(enclosure.text_of(self.path / REUSED, _LONGEST))
            return facts if all(check(facts[name]) for name, check in checks.items()) else {}
        except (OSError, DataError, ValueError, TypeError, KeyError, RecursionError):
            return {}


def end_of(events: Iterator[Event]) -> str | None:
    """Return how a journal's events end, None where they do not or the run goes on."""
    end = None
    for event in events:
        if event["event"] in ("end", "resume"):
            end = event.get("status")
    return end


def data_of(events: Iterator[Event]) -> str | None:
    """Return the digest of the data set that a journal names, last of where the run began."""
    return next((event["digest"] for event in events if event["event"] == "dataset"), None)


def all_below(path: Path) -> Iterator[Folder]:
    """Yield the runs in a folder and below it, in the order of their names."""
    for root, names, files in os.walk(path):
        names[:] = sorted(name for name in names if name not in _STORES)
        if journal.FILE in files:
            yield Folder(Path(root))


def runs_in(output: Path) -> Iterator[Folder]:
    """Yield the runs right below an output folder whose journal has begun; links lead elsewhere."""
    for path in sorted(output.glob(f"*/{journal.FILE}")):
        with suppress(ConfigError):
            journal.start_of(path.parent)
            if not path.parent.is_symlink():
                yield Folder(path.parent)
