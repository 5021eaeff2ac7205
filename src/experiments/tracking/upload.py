"""One run on its way to a store, from its journal, by a position that its folder keeps."""

import copy
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mlflow.exceptions import MlflowException

from experiments.runs import enclosure, events, journal
from experiments.tracking import positions
from experiments.tracking.client import Client
from experiments.tracking.positions import Position
from experiments.tracking.replica import RUN_ID, Replica

log = logging.getLogger(__name__)


class Damage(NamedTuple):
    """What of a journal cannot be read; `is_cut` is a last line without an end."""

    text: str
    is_cut: bool


class Upload:
    """A run that this process alone uploads, until it is closed.

    `position` tells what the store has of it. Raises BusyError where another process uploads it.
    """

    def __init__(self, client: Client, folder: Path, store: str) -> None:
        self.folder, self.size = folder, 0
        self._client, self._store = client, store
        with ExitStack() as claim:
            claim.enter_context(positions.claim(folder))
            self.position = self._known() or Position()
            self.replica = Replica(client, folder, self.position)
            self._keep()  # from now on the run is known to be meant for this store
            self._claim = claim.pop_all()

    def advance(self, *, over: bool, status: str | None = None) -> Iterator[None]:
        """Send what the journal has and the store has not, and yield whenever it has taken some.

        A run that is `over` and has no end is ended: with the status that is known, or as killed
        where no process holds it any more. Raises RefusedError where the journal does not begin
        with a run's start, and other errors where the store takes nothing; what is refused for
        itself is left out and remembered.
        """
        # Looked at before the journal is read: what was written before it is not missed.
        over = over and (status is not None or not journal.is_held(self.folder))
        self.size = journal_size(self.folder)
        try:
            yield from self._advance()
            if over and not self.position.ended:
                self.replica.end(status or "KILLED", self.position.time)
                self._commit()
                yield
        finally:
            self._client.roll_back()  # what no position speaks of is sent again

    def has_news(self) -> bool:
        """Say whether the journal has whole events that the store has not."""
        path = self.folder / journal.FILE
        return next(journal.read(path, self.position.offset), None) is not None

    def is_complete(self) -> bool:
        """Say whether the run has ended and nothing of it is left to send."""
        return self.position.ended and self.size == journal_size(self.folder)

    def damage(self) -> Damage | None:
        """Say what of the journal could not be read."""
        path = self.folder / journal.FILE
        with enclosure.open_plain(path) as file:
            file.seek(self.position.offset)
            line = file.readline(journal.LONGEST)
        if not line:
            return None
        try:
            events.decode(line)
            return None  # it has come meanwhile
        except ValueError as error:
            why = str(error)
        rest = journal_size(self.folder) - self.position.offset
        count = sum(1 for _ in journal.read(path))
        text = f"{count:,} events read, {rest:,} bytes after them are damaged and left out"
        return Damage(
            f"{journal.FILE}: {text}: {why}", is_cut=len(line) == rest and line[-1:] != b"\n"
        )

    def close(self) -> None:
        """Let other processes upload the run."""
        self._claim.close()

    def _advance(self) -> Iterator[None]:
        self.replica.begin(copy.deepcopy(self.position))
        for event, reached in journal.read(self.folder / journal.FILE, self.position.offset):
            due = self.replica.take(event)
            self.replica.position.time, self.replica.position.offset = event["time"], reached
            if due:
                self._commit()
                yield
        if self.replica.position.offset > self.position.offset:
            self.replica.flush()
            self._commit()
            yield

    def _commit(self) -> None:
        self._client.commit()
        self.position = self.replica.position
        self.replica.begin(copy.deepcopy(self.position))
        self._keep()

    def _known(self) -> Position | None:
        """Return the run's position in the store, if the store still has the run."""
        position = positions.recorded(self.folder, self._store)
        if position is None or not position.mlflow_run_id:
            return position
        if position.offset > journal_size(self.folder):
            return None  # the journal lost its end with the machine's power
        try:
            tags = self._client.get_run(position.mlflow_run_id).data.tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        start, _ = next(journal.read(self.folder / journal.FILE), ({}, 0))
        return position if tags.get(RUN_ID) == start.get("run_id") else None

    def _keep(self) -> None:
        try:
            positions.record(self.folder, self._store, self.position)
        except OSError as error:  # full, or read only: sending again is no harm
            log.warning("%s keeps no position: %s", self.folder, error)


def journal_size(folder: Path) -> int:
    """Return the bytes of a run's journal."""
    return (folder / journal.FILE).stat().st_size
