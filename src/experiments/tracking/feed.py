"""Upload the runs of a command while they are made, and what earlier commands left."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path

from experiments.errors import ConfigError, DataError
from experiments.runs import journal
from experiments.tracking import address, leftovers, pipes
from experiments.tracking.client import Client
from experiments.tracking.pace import Pace
from experiments.tracking.pipes import Link
from experiments.tracking.positions import BusyError, claim
from experiments.tracking.store import RefusedError, open_store, upload_error
from experiments.tracking.upload import Upload, journal_size

_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # seconds between two looks at the journals; after failures
_SELDOM = 20.0  # the pause after a look, in times of what it computed
_PATIENCE = 600.0  # seconds without any progress after which a command's upload is given up
log = logging.getLogger("experiments.tracking.uploader")


def follow(folder: Path, uri: str, command: Link, pace: Pace) -> bool:
    """Upload until the command has ended and nothing is left; return whether that was reached."""
    if address.is_server(uri):
        command.hinder(f"The store {address.name(uri)} has not answered yet")
    else:
        command.beat()
    with closing(Runs(folder, uri, command, pace)) as runs:
        return _follow(runs, command, pace)


def _follow(runs: "Runs", command: Link, pace: Pace) -> bool:
    pause = _PAUSE
    while True:
        # Looked at before the journals are read: what was written before it is not missed.
        over, status, begun = command.closed.is_set(), command.status, time.process_time()
        try:
            if runs.advance(over=over, status=status):
                break
            runs.repair(seconds=_PAUSE)
            pause = max(_PAUSE, _SELDOM * (time.process_time() - begun))
        except Exception as error:
            pause = min(2 * pause, _LONGEST_PAUSE)
            runs.report(error)
            if isinstance(error, (ConfigError, DataError)):  # a store that will not do later either
                command.closed.wait()
                runs.report(error)
                return False
        if over and time.monotonic() - command.since > _PATIENCE:
            return False
        if over:
            time.sleep(pause)
        elif command.waits.is_set():
            command.closed.wait(_PAUSE)
        else:
            pace.pause(pause)
    runs.settle()
    for line in runs.lines:
        command.tell(line)
    if runs.refused:
        return False
    command.tell(pipes.DONE)
    runs.repair(seconds=float("inf"))
    return True


class Runs:
    """The runs of a command, each on its way to the store or complete."""

    def __init__(self, folder: Path, uri: str, command: Link, pace: Pace) -> None:
        self._folder, self._uri, self._command, self._pace = folder, uri, command, pace
        self._store = address.name(uri)
        self._client: Client | None = None
        self._order: dict[Path, None] = {}
        self._uploads: dict[Path, Upload] = {}
        self._done: dict[Path, int] = {}  # to the size of its journal, which may go on
        self._told: set[str] = set()
        self._earlier = self._leftovers()
        self.lines: list[str] = []  # what the command is to hear of them at its end
        self.refused = False

    def advance(self, *, over: bool, status: str | None) -> bool:
        """Send what is new in all of them, and say whether they are over and nothing is left.

        Raises what stopped one of them, which comes last the next time.
        """
        for run in _runs(self._folder):
            self._order.setdefault(run)
        for run in list(self._order):
            try:
                if self._done.get(run) != journal_size(run):
                    self._bring(run, over=over, status=status)
            except Exception as error:
                del self._order[run]
                if isinstance(error, FileNotFoundError) and not (run / journal.FILE).exists():
                    continue  # it was removed
                self._order[run] = None
                raise
        return over and self._order.keys() <= self._done.keys()

    def repair(self, seconds: float) -> None:
        """Spend some time on the runs that earlier commands left."""
        if self._client is None:
            return
        end = time.monotonic() + seconds
        while time.monotonic() < end and next(self._earlier, self) is not self:
            self._pace.rest()

    def settle(self) -> None:
        """Store all that was sent in its last place."""
        if self._client is not None:
            self._client.settle()

    def close(self) -> None:
        """Let go of the store."""
        if self._client is not None:
            self._client.close()

    def report(self, error: Exception) -> None:
        """Tell the command what stops the upload, and log it once."""
        busy = isinstance(error, BusyError)
        text = "another process is uploading it" if busy else str(upload_error(error, self._uri))
        self._command.hinder(text)
        if text not in self._told and self._folder.is_dir():
            self._told.add(text)
            log.error("The upload of %s stopped: %s", self._folder, text, exc_info=error)

    def _bring(self, run: Path, *, over: bool, status: str | None) -> None:
        if run not in self._uploads:
            moved = self._command.beat
            self._uploads[run] = Upload(self._opened(), run, self._store, moved)
        upload = self._uploads[run]
        try:
            for _ in _portions(upload, over=over, status=status):
                self._pace.rest()
        except RefusedError as error:
            self.report(error)
            self.lines.append(f"{pipes.OBSTACLE}{error}")
            self.refused = True
        else:
            if not upload.is_complete():
                return
        self.lines += [f"{pipes.REFUSED}{text}" for text in upload.position.refused]
        self._done[run] = upload.size
        del self._uploads[run]

    def _opened(self) -> Client:
        if self._client is None:
            # What is made on this machine is waited for; a server is to answer.
            with nullcontext() if address.is_server(self._uri) else self._command.loading():
                self._client = open_store(self._uri)
            if self._client.notice:
                self.lines.append(f"{pipes.NOTICE}{self._client.notice}")
        return self._client

    def _leftovers(self) -> Iterator[None]:
        """Upload what earlier commands left, a portion at a time; pass over a run that fails."""
        assert self._client is not None
        for folder in leftovers.cut_off(self._folder.parent, self._store, self._folder):
            try:
                yield from _portions(Upload(self._client, folder, self._store), over=True)
            except BusyError:
                continue
            except Exception as error:
                why = upload_error(error, self._uri)
                log.warning("The upload of %s is left to later: %s", folder, why)


def _portions(upload: Upload, *, over: bool, status: str | None = None) -> Iterator[None]:
    """Send a run a portion at a time, and let other processes have it in between."""
    while True:
        with claim(upload.folder, upload.store):
            if not upload.advance(over=over, status=status):
                return
        yield


def _runs(folder: Path) -> Iterator[Path]:
    for path in (folder, *sorted(folder.glob("*/"))):
        if (path / journal.FILE).exists():
            yield path
