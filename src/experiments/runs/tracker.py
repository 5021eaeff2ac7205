"""What a run tells of itself while it lasts, and to whom."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """Receives what happens in a run; `folder` takes its files, where there is one."""

    folder: Path | None = None
    difference = ""

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

    def position(self) -> int:
        """Return where the next event will stand."""
        return 0

    def expect(self, step: int, looked: int) -> None:  # noqa: B027  # mostly there are none
        """Take the numbers of a step and later ones, of losses after `looked`, as to come again."""

    def sync(self) -> None:  # noqa: B027  # mostly nothing is stored
        """Make what was recorded safe."""

    @abstractmethod
    def close(self) -> None:
        """Release what the tracker holds."""


class InMemory(Tracker):
    """Keeps the events that hold numbers, for whoever asks when the run has ended."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, event: str, **fields: Any) -> None:
        """Keep an event with numbers of steps."""
        if fields.keys() in ({"step", "values"}, {"first", "values"}):
            self.events.append({"event": event, **fields})

    def close(self) -> None:
        """Hold nothing but memory."""
