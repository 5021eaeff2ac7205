"""One run on its way to a store, from its journal, by a position that its folder keeps."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mlflow.exceptions import MlflowException

from experiments.runs import enclosure, events, journal
from experiments.tracking import positions
from experiments.tracking.client import Client
from experiments.tracking.identity import RUN_ID
from experiments.tracking.positions import Position
from experiments.tracking.replica import Replica

log = logging.getLogger(__name__)


class Damage(NamedTuple):
    """What of a journal cannot be read; `is_cut` is a last line without an end."""

    text: str
    is_cut: bool


class Upload:
    """A run on its way to a store; whoever calls it has the `claim` to the two.

    `position` tells what the store has of the run; `moved` is called whenever the store took some.
    """

    def __init__(
        self, client: Client, folder: Path, store: str, moved: Callable[[], None] = lambda: None
    ) -> None:
        self.folder, self.store, self.size = folder, store, 0
        self._client, self._is_over = client, False
        self._kept: str | None = None  # the version of the positions that this one is of
        self.position = Position()
        self.replica = Replica(client, folder, self.position, moved)

    def advance(self, *, over: bool, status: str | None = None) -> bool:
        """Send a portion of what the journal has and the store has not, and say if there was one.

        A run that is `over` and has no end is ended: with the status that is known, or as killed
        where no process holds it any more. Raises RefusedError where the journal does not begin
        with a run's start, and other errors where the store takes nothing; what is refused for
        itself is left out and remembered.
        """
        # Looked at before the journal is read: what was written before it is not missed.
        self._is_over = over and (status is not None or not journal.is_held(self.folder))
        self.size = journal_size(self.folder)
        self.catch_up()
        try:
            return self._advance(status or "KILLED")
        finally:
            self._client.roll_back()  # what no position speaks of is sent again

    def catch_up(self) -> None:
        """Go on from where the run's upload has come, here or in another process."""
        if self._kept != positions.version(self.folder):
            self.position = self._known() or Position()
            self._keep()  # from now on the run is known to be meant for this store
        self.replica.begin(copy.deepcopy(self.position))

    def has_news(self) -> bool:
        """Say whether the journal has whole events that the store has not."""
        path = self.folder / journal.FILE
        return next(journal.read(path, self.position.offset), None) is not None

    def is_complete(self) -> bool:
        """Say whether nothing of the run is left to send: it has ended, or never began."""
        ended = self.position.ended or (self._is_over and not self.position.mlflow_run_id)
        return ended and self.size == journal_size(self.folder)

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

    def _advance(self, status: str) -> bool:
        sent = self.replica.position
        for event, reached in journal.read(self.folder / journal.FILE, self.position.offset):
            due = self.replica.take(event)
            sent.time, sent.offset = event["time"], reached
            if due:
                break
        if sent.offset > self.position.offset:
            self.replica.flush()
        elif self._is_over and sent.mlflow_run_id and not sent.ended:
            self.replica.end(status, sent.time)
        else:
            return False
        self._client.commit()
        self.position = sent
        self._keep()
        return True

    def _known(self) -> Position | None:
        """Return the run's position in the store, if the store still has the run."""
        position = positions.recorded(self.folder, self.store)
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
            positions.record(self.folder, self.store, self.position)
        except OSError as error:  # full, or read only: sending again is no harm
            log.warning("%s keeps no position: %s", self.folder, error)
        self._kept = positions.version(self.folder)


def journal_size(folder: Path) -> int:
    """Return the bytes of a run's journal."""
    return (folder / journal.FILE).stat().st_size
