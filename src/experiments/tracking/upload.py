"""One run on its way to a store."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from experiments.runs import journal
from experiments.tracking import positions
from experiments.tracking.client import Client
from experiments.tracking.positions import Position
from experiments.tracking.replica import Replica


class Damage(NamedTuple):
    """What of a journal cannot be read; `is_cut` is a last line without an end."""

    text: str
    is_cut: bool


class Upload:
    """A run that this process alone uploads, until it is released.

    Raises BusyError where another process does, ConfigError where the folder holds no run.
    """

    def __init__(self, client: Client, folder: Path, store: str) -> None:
        self.folder, self.size = folder, 0
        self._claim = ExitStack()
        self._claim.enter_context(positions.claim(folder))
        try:
            self.replica = Replica(client, folder, store)
        except BaseException:
            self.release()
            raise

    @property
    def position(self) -> Position:
        """What the store has of the run."""
        return self.replica.position

    def advance(self, *, over: bool, status: str | None = None) -> Iterator[None]:
        """Send what is new, and yield whenever something was done.

        A run that is `over` and has no end is ended: with the status that is known, or as killed
        where no process holds it any more.
        """
        # Looked at before the journal is read: what was written before it is not missed.
        over = over and (status is not None or not journal.is_held(self.folder))
        self.size = journal_size(self.folder)
        yield from self.replica.advance()
        if over and not self.position.ended:
            self.replica.close(status or "KILLED")
            yield

    def has_news(self) -> bool:
        """Say whether the journal has whole events that the store has not."""
        path = self.folder / journal.FILE
        return next(journal.read(path, self.position.offset), None) is not None

    def is_complete(self) -> bool:
        """Say whether the run has ended and nothing of it is left to send."""
        return self.position.ended and self.size == journal_size(self.folder)

    def damage(self) -> Damage | None:
        """Say what of the journal could not be read."""
        with (self.folder / journal.FILE).open("rb") as file:
            file.seek(self.position.offset)
            rest = file.read()
        if not rest:
            return None
        events = sum(1 for _ in journal.read(self.folder / journal.FILE))
        text = f"{events:,} events read, {len(rest):,} bytes after them are damaged and left out"
        return Damage(f"{journal.FILE}: {text}", is_cut=b"\n" not in rest)

    def release(self) -> None:
        """Let other processes upload the run."""
        self._claim.close()


def journal_size(folder: Path) -> int:
    """Return the bytes of a run's journal."""
    return (folder / journal.FILE).stat().st_size
