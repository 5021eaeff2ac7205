"""The trainer's side of MLflow: it starts the uploader, waits for it, and says where to look.

MLflow itself is imported by the uploader alone, which is a process of its own.
"""

import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from experiments.errors import StorageError
from experiments.process import secrecy
from experiments.runs.folder import Folder
from experiments.settings import Tracking, TrackingMode
from experiments.tracking import address, pipes, positions

_PROBE = b"\0" * 4096  # bytes that a place must take to be called writable
_UNTOLD = 1.0  # seconds of waiting that need no word
_SHOWN = 3  # things that MLflow refused


def store(tracking: Tracking, root: Path) -> str:
    """Return the address of MLflow's store: the setting, else the environment's, else sqlite.

    Raises ConfigError where it is none.
    """
    uri = address.resolve(tracking.uri, root)
    secrecy.hide_uri(uri)
    return uri


def check_writable(uri: str) -> None:
    """Raise StorageError where a store that is a file could not be written to, nor its folders."""
    file = address.sqlite_file(uri)
    if file is None:
        return
    folder = next(folder for folder in file.parents if folder.exists())
    try:
        _probe(folder)
        if file.exists():
            file.open("r+b").close()
        if (artifacts := file.parent / "mlartifacts").exists():
            _probe(artifacts)
    except OSError as error:
        where = error.filename or folder
        raise StorageError(
            f"MLflow's store {file} cannot be written to: {where}: {error.strerror}; "
            "tracking=offline needs no store."
        ) from error


@contextmanager
def uploading(tracking: Tracking, folder: Path, root: Path) -> Iterator[Callable[[], None]]:
    """Feed MLflow from the journals in a folder meanwhile, then wait for it and say where to look.

    It is done sparingly, until the function is called that this gives.
    """
    if tracking.mode is not TrackingMode.mlflow:
        yield lambda: None
        return
    uploader = Uploader(folder, store(tracking, root), patience=tracking.wait)
    status = "FINISHED"
    try:
        yield uploader.hurry
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        raise
    finally:
        # A signal asks for a quick end; the uploader goes on without this process.
        complete = uploader.finish(status, wait=status != "KILLED")
        if Folder(folder).exists:
            print(*uploader.closing_lines(complete=complete), sep="\n", flush=True)


class Uploader:
    """The process that feeds MLflow from the journals in a folder while this one trains.

    After this one it is waited for while it gets on, and `patience` seconds longer.
    """

    def __init__(self, folder: Path, uri: str, patience: float) -> None:
        self._folder, self._uri, self._patience = folder, uri, patience
        self._obstacle, self._has_ended = "", False
        self._refused, self._notices = list[str](), list[str]()
        # Its standard input is a pipe that closes when this process ends, in whichever way; a
        # session of its own keeps Ctrl-C from it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.tracking.uploader", str(folder)],
            env=os.environ | address.environment(uri),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def hurry(self) -> None:
        """Say that nothing is trained any more, so that the upload need not step back."""
        self._tell(b"\n")

    def finish(self, status: str | None = None, *, wait: bool = True) -> bool:
        """Say that nothing more comes, and wait; return whether all was uploaded.

        `status` is that of runs that could not record their own end; without one they were killed.
        """
        self._tell((status or "").encode())
        with suppress(OSError):
            self._to.close()
        complete = wait and self._wait()
        # It is left to itself: it may be busy with what is stuck, or earlier runs left.
        self._from.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)
        self._process.returncode = self._process.returncode or 0  # else Python warns of it
        return complete

    def closing_lines(self, *, complete: bool) -> list[str]:
        """Return what to type and what to open to see the run."""
        lines = [*self._notices, *(f"refused  {text}" for text in self._refused[:_SHOWN])]
        if more := self._refused[_SHOWN:]:
            lines.append(f"         and {len(more)} more, in {positions.FILE}")
        if not complete:
            why = f" ({self._obstacle})" if self._obstacle else ""
            lines.append(f"MLflow has not taken everything yet{why}; nothing is lost.")
            still = "" if self._has_ended else "The upload goes on for some minutes. "
            command = address.sync_command(self._uri, self._folder)
            lines += [f"{still}To finish it later:", f"         {command}"]
        if not address.is_server(self._uri):
            lines.append(f"review   {address.server_command(self._uri)}")
        position = positions.recorded(self._folder, address.name(self._uri))
        if position is not None and position.mlflow_run_id:
            page = address.run_page(self._uri, position.experiment_id, position.mlflow_run_id)
            lines.append(f"page     {page}")
        return lines

    def _tell(self, text: bytes) -> None:
        with suppress(OSError):  # it may have died
            self._to.write(text)
            self._to.flush()

    def _wait(self) -> bool:
        """Listen until the uploader is done, or has done nothing for too long."""
        word = f"waiting for MLflow, {self._patience:g} s at most while nothing moves"
        timer = threading.Timer(_UNTOLD, print, [word], {"flush": True})
        timer.start()
        try:
            return self._listen()
        finally:
            timer.cancel()
            timer.join()

    def _listen(self) -> bool:
        pipe, rest = self._from.fileno(), b""
        end = time.monotonic() + self._patience
        while (left := end - time.monotonic()) > 0 and select.select([pipe], [], [], left)[0]:
            if not (part := os.read(pipe, 65536)):
                self._has_ended = True
                break
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace")
                if text == pipes.DONE:
                    return True
                if self._hear(text):
                    end = time.monotonic() + self._patience
        return False

    def _hear(self, text: str) -> bool:
        """Take up what the uploader says, and return whether something was done."""
        if text.startswith(pipes.OBSTACLE):
            self._obstacle = text.removeprefix(pipes.OBSTACLE)
        if text.startswith(pipes.REFUSED):
            self._refused.append(text.removeprefix(pipes.REFUSED))
        if text.startswith(pipes.NOTICE):
            self._notices.append(text.removeprefix(pipes.NOTICE))
        if not text:
            self._obstacle = ""
        return not text


def _probe(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(_PROBE)
        file.flush()
