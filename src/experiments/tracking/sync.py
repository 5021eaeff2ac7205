"""Upload runs once, and say how each went."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TypeVar

from experiments.errors import DataError, ExperimentError, StorageError
from experiments.process.secrecy import clean
from experiments.runs import journal
from experiments.tracking import address
from experiments.tracking.client import Client
from experiments.tracking.positions import BusyError, claim
from experiments.tracking.store import is_lasting, open_store, upload_error
from experiments.tracking.upload import Upload

_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before what failed is tried again
# Seconds for another process to give a run free, which it does between two portions: the first
# time, and once that is told. A server has 60 to take a file.
_WAITS = (1.0, 75.0)
_SHOWN = 3  # folders whose runs never began
T = TypeVar("T")


def sync(runs: Sequence[Path], uri: str) -> int:
    """Upload runs, print a line for each, and return the command's exit status.

    Raises what stops all of them: a store that cannot be opened or written to, or is not there.
    """
    with _silence():
        client = _again(lambda: open_store(uri), uri)
    if client.notice:
        print(client.notice, flush=True)
    begun = [run for run in runs if _has_begun(run)]
    if never := [str(run) for run in runs if run not in begun]:
        more = f" and {len(never) - _SHOWN} more" if never[_SHOWN:] else ""
        print(f"nothing to upload where no run began: {', '.join(never[:_SHOWN])}{more}")
    with closing(client):
        return max((_synced(client, run, uri) for run in begun), default=0)


def _has_begun(run: Path) -> bool:
    """Say whether a journal has a line, be it damaged; one of a run that was killed may not."""
    with (run / journal.FILE).open("rb") as file:
        return any(line.endswith(b"\n") for line in file)


def _synced(client: Client, run: Path, uri: str) -> int:
    """Upload a run, say how that went, and return its exit status."""
    try:
        line, error = _claimed(client, run, uri)
        print(clean(line), flush=True)
    except StorageError:
        raise
    except Exception as stopped:
        with _silence():
            _again(lambda: client.search_experiments(max_results=1), uri)
        error = upload_error(stopped, uri)
    if error is None:
        return 0
    text = " ".join(str(error).split())
    print(f"error: {clean(f'{run}: {text}')}", file=sys.stderr, flush=True)
    return error.status


def _claimed(client: Client, run: Path, uri: str) -> tuple[str, ExperimentError | None]:
    """Upload a run as soon as no other process does; return what to say as `_upload`."""
    for wait in _WAITS:
        try:
            with claim(run, address.name(uri), wait), _silence():
                return _upload(client, run, uri)
        except BusyError:
            if wait != _WAITS[-1]:
                print(f"waiting for another process, which is uploading {run}", flush=True)
    raise ExperimentError("Another process is uploading it, and gets no answer from the store.")


def _upload(client: Client, run: Path, uri: str) -> tuple[str, ExperimentError | None]:
    """Upload a run; return what to say of it, and of what could not be uploaded."""
    upload = Upload(client, run, address.name(uri))
    _again(upload.catch_up, uri)
    known = len(upload.position.refused)
    if upload.position.ended and not upload.has_news():
        return f"already uploaded {run}", None
    held = journal.is_held(run)
    while _again(lambda: upload.advance(over=True), uri):
        pass
    line, error = _outcome(upload), None
    if refused := upload.position.refused[known:]:
        error = ExperimentError(f"MLflow refused {len(refused)}: {'; '.join(refused)}")
    if not held and (damage := upload.damage()):
        if not upload.position.mlflow_run_id:
            raise DataError(damage.text)
        line += f"; {damage.text}"
        error = error if damage.is_cut else DataError(damage.text)
    return line, error


def _outcome(upload: Upload) -> str:
    replica, position = upload.replica, upload.position
    metrics = f"{replica.metrics:,}"
    if replica.points > replica.metrics:
        metrics += f" of {replica.points:,}"
    sent = f"{metrics} metrics, {replica.artifacts:,} artifacts"
    if position.ended:
        return f"uploaded {upload.folder}: {sent}"
    return f"still running {upload.folder}: uploaded up to step {position.step:,}: {sent}"


def _again(action: Callable[[], T], uri: str) -> T:
    """Return what an action returns, which is tried several times where the store may not be up."""
    pauses = iter(_PAUSES)
    while True:
        try:
            return action()
        except (BusyError, ExperimentError):
            raise
        except Exception as error:
            told, pause = upload_error(error, uri), next(pauses, None)
            if pause is None or is_lasting(error) or isinstance(told, StorageError):
                raise told from error
        time.sleep(pause)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what MLflow prints, tracebacks too, from the terminal."""
    with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        yield
