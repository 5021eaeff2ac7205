"""Upload runs once, and say how each went."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TypeVar

from experiments.errors import DataError, ExperimentError, StorageError
from experiments.process.secrecy import clean
from experiments.runs import journal
from experiments.tracking import address
from experiments.tracking.client import Client
from experiments.tracking.positions import BusyError
from experiments.tracking.store import is_lasting, open_store, upload_error
from experiments.tracking.upload import Upload

_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before what failed is tried again
T = TypeVar("T")


def sync(runs: Sequence[Path], uri: str) -> int:
    """Upload runs, print a line for each, and return the command's exit status.

    Raises what stops all of them: a store that cannot be opened or written to, or is not there.
    """
    with _silence():
        client = _again(lambda: open_store(uri), uri)
    with closing(client):
        return max((_synced(client, run, uri) for run in runs), default=0)


def _synced(client: Client, run: Path, uri: str) -> int:
    """Upload a run, say how that went, and return its exit status."""
    try:
        with _silence():
            line, error = _upload(client, run, uri)
        print(clean(line), flush=True)
    except BusyError:
        print(f"another process is uploading {run}", flush=True)
        return 0
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


def _upload(client: Client, run: Path, uri: str) -> tuple[str, ExperimentError | None]:
    """Upload a run; return what to say of it, and of what could not be uploaded."""
    with closing(_again(lambda: Upload(client, run, address.name(uri)), uri)) as upload:
        known = len(upload.position.refused)
        if upload.position.ended and not upload.has_news():
            return f"already uploaded {run}", None
        held = journal.is_held(run)
        _again(lambda: deque(upload.advance(over=True), maxlen=0), uri)
        line, error = _outcome(upload), None
        if refused := upload.position.refused[known:]:
            error = ExperimentError(f"MLflow refused {len(refused)}: {'; '.join(refused)}")
        if not held and (damage := upload.damage()):
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
