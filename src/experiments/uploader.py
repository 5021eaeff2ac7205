"""Feed MLflow from the journals below a folder: `python -m experiments.uploader FOLDER URI`.

With `--follow` it goes on until its standard input closes, that is until the training process has
ended, and then closes the runs that this process left open. Uploading again changes nothing: a run
is found by our id, and MLflow keeps one row for each name, step, time and value.
"""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["DO_NOT_TRACK"] = "true"  # MLflow's own telemetry
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # `follow` tries again itself
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

import mlflow
from mlflow import MlflowClient

from experiments import journal
from experiments.replica import Replica, open_store
from experiments.tracking import LOG

_PATIENCE = 60.0  # seconds to go on trying after the training process has ended
log = logging.getLogger("experiments.uploader")  # also where it runs as __main__


def main() -> int:
    """Upload what the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.uploader", description=__doc__)
    parser.add_argument("--follow", action="store_true", help="until standard input closes")
    parser.add_argument("folder", type=Path, help="a run's folder, or that of a sweep")
    parser.add_argument("uri", help="MLflow's store, such as sqlite:////home/me/mlflow.db")
    options = parser.parse_args()
    logging.basicConfig(handlers=[logging.FileHandler(options.folder / LOG, delay=True)])
    closed = threading.Event()
    if options.follow:
        threading.Thread(target=_wait_for_end, args=[closed], daemon=True).start()
    else:
        closed.set()
    return 0 if follow(options.folder, options.uri, closed) else 1


def follow(folder: Path, uri: str, closed: threading.Event) -> bool:
    """Upload until `closed` is set and nothing is left; return whether that was reached."""
    replicas: dict[Path, Replica] = {}
    delay, deadline = 0.2, float("inf")
    while True:
        # Looked at before the journals are read: what was written before it is not missed.
        last = closed.is_set()
        deadline = min(deadline, time.monotonic() + _PATIENCE) if last else deadline
        try:
            _catch_up(folder, uri, replicas)
            if last:
                _close(replicas)
                return True
            delay = 0.2
        except Exception:  # of a server, a database, a file system: tried again, then told
            if folder.is_dir():
                log.exception("The upload of %s stopped", folder)
            delay = min(2 * delay, 5.0)
        if time.monotonic() > deadline:
            return False
        time.sleep(delay) if last else closed.wait(delay)


def _catch_up(folder: Path, uri: str, replicas: dict[Path, Replica]) -> None:
    """Find new journals below the folder, a sweep's own first, and upload what is new in all."""
    for run in _runs(folder):
        if run not in replicas:
            open_store(uri)
            mlflow.set_tracking_uri(uri)
            replicas[run] = Replica(MlflowClient(uri), run)
        replicas[run].catch_up()


def _runs(folder: Path) -> Iterator[Path]:
    for path in (folder, *sorted(folder.glob("*/"))):
        if (path / journal.FILE).exists():
            yield path


def _close(replicas: dict[Path, Replica]) -> None:
    for replica in replicas.values():
        replica.close("KILLED")


def _wait_for_end(closed: threading.Event) -> None:
    sys.stdin.buffer.read()
    closed.set()


if __name__ == "__main__":
    sys.exit(main())
