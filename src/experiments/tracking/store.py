"""MLflow's store: made whole or not at all, and what its errors mean."""

import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from experiments.errors import ConfigError, DataError, ExperimentError, StorageError
from experiments.process.secrecy import clean
from experiments.tracking import address
from experiments.tracking.client import Client
from experiments.tracking.relocation import ARTIFACTS, mended
from experiments.tracking.sqlite import LocalClient
from experiments.tracking.tables import is_known, revision

# MLflow's codes of what is refused each time that it is sent; the others may pass.
_LASTING = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "NOT_IMPLEMENTED")
_LASTING_STATUSES = (400, 411, 413, 414, 415, 422, 431)  # of a server that takes a file
# What sqlite and the system say of a place that is full or may only be read.
_STORAGE = re.compile(
    "readonly database|disk is full|unable to open database|disk I/O error"
    "|No space left|Read-only file system|Permission denied|Disk quota"
)
_NETWORK = re.compile(r"\[Errno -?\d+\] [\w ]+|timed out|too many \d+ error responses")
_IN_THE_WAY = (FileExistsError, NotADirectoryError, IsADirectoryError)  # artifacts, of each other
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"  # seconds, which MLflow looks up at each call
_MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
_REVISION = re.compile(r"^(down_)?revision = ['\"](\w+)['\"]", re.MULTILINE)


class RefusedError(ExperimentError):
    """A run that the store will never take."""


def open_store(uri: str) -> Client:
    """Return a client of a store, which is made first where it is a file that is not there.

    Raises ConfigError where a newer MLflow made it, DataError where it is damaged, StorageError
    where it cannot be made.
    """
    mlflow.set_tracking_uri(uri)
    file = address.sqlite_file(uri)
    if file is None:
        return Client(uri)
    try:
        if not _is_made(file):  # most are, and may then stand in a folder that is read only
            with _locked(file):
                if not _is_made(file):
                    _create(file)
        if revision(file) not in (newest := _newest_revision(), ""):
            raise ConfigError(_other_version(uri, revision(file), newest))
    except sqlite3.DatabaseError as error:
        raise DataError(f"The store {file} is damaged: {error}.") from None
    except OSError as error:
        raise StorageError(f"The store {file} cannot be opened: {error.strerror}.") from error
    notice = mended(file) if revision(file) else ""
    client = LocalClient(uri, file) if is_known(file) else Client(uri)
    client.notice = notice
    client.search_experiments(max_results=1)  # loads what takes a second or two
    return client


def experiment(client: Client, name: str) -> str:
    """Return the id of an experiment, which is made where it does not exist."""
    if name not in client.experiments:  # a sweep's runs all ask for the same
        found = client.get_experiment_by_name(name)
        made = _new_experiment(client, name) if found is None else found.experiment_id
        client.experiments[name] = str(made)
    return client.experiments[name]


def _new_experiment(client: Client, name: str) -> Any:
    file = address.sqlite_file(client.tracking_uri)
    location = None if file is None else (file.parent / ARTIFACTS / _folder(name)).as_uri()
    try:
        return client.create_experiment(name, artifact_location=location)
    except MlflowException:  # another process was faster
        if found := client.get_experiment_by_name(name):
            return found.experiment_id
        raise


def is_lasting(error: Exception) -> bool:
    """Say whether what met this error would meet it whenever it is sent again."""
    if isinstance(error, MlflowException):
        return error.error_code in _LASTING and not _STORAGE.search(str(error))
    response = getattr(error, "response", None)  # of `requests`, whose errors are OSErrors
    if response is not None:
        return response.status_code in _LASTING_STATUSES
    if isinstance(error, _IN_THE_WAY):
        return True
    return not isinstance(error, (OSError, SQLAlchemyError, sqlite3.OperationalError))


def upload_error(error: Exception, uri: str) -> ExperimentError:
    """Return what to tell of an error that stopped an upload."""
    if isinstance(error, ExperimentError):
        return error
    text = clean(" ".join(str(error).split()))[:300]
    if text.startswith("API request to"):
        found = _NETWORK.search(str(error))
        why = found.group().partition("] ")[2] or found.group() if found else "no connection"
        return ExperimentError(f"The store {address.name(uri)} does not answer: {why}.")
    if _STORAGE.search(str(error)):
        return StorageError(f"The store {address.name(uri)} cannot be written to: {text}")
    return ExperimentError(f"The store {address.name(uri)} does not take it: {text}")


@contextmanager
def patient() -> Iterator[None]:
    """Give a server more time meanwhile: it stores a whole file before it answers."""
    before = os.environ.get(_TIMEOUT, "0")
    os.environ[_TIMEOUT] = str(max(int(before), 60))
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = before


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process at a time make a store."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f"{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_made(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _create(file: Path) -> None:
    """Make a store under another name, so that it is never seen by half."""
    part = file.with_name(f"{file.name}.part")
    for left in (part, *(part.with_name(part.name + end) for end in ("-journal", "-wal", "-shm"))):
        left.unlink(missing_ok=True)  # of a process that was killed
    MlflowClient(address.sqlite_uri(part)).search_experiments(max_results=1)
    with part.open("rb") as made:
        os.fsync(made.fileno())
    part.replace(file)


def _newest_revision() -> str:
    """Return the version of the tables that this MLflow works with."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in _MIGRATIONS.glob("*.py"))
    found = _REVISION.findall(text)
    passed = {name for down, name in found if down}
    return next(str(name) for down, name in found if not down and name not in passed)


def _other_version(uri: str, version: str, newest: str) -> str:
    store, installed = address.name(uri), mlflow.__version__
    if any(_MIGRATIONS.glob(f"{version}_*.py")):
        return (
            f"The store {store} was made by an older MLflow; back it up, and bring it to version "
            f"{installed} by: mlflow db upgrade {store}"
        )
    return (
        f"The store {store} was made by a newer MLflow than the {installed} that is installed (its "
        f"tables are of version {version}, this one's {newest}); install that MLflow, or name "
        "another store."
    )


def _folder(name: str) -> str:
    """Return an experiment's name as that of one folder below the artifacts."""
    safe = quote(name, safe=" ")[:120]
    return safe if safe.strip(". ") else f"_{safe}"
