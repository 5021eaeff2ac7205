"""Feed MLflow from the journals of a command: `python -m experiments.tracking.uploader FOLDER`.

It goes on until its standard input closes, that is until the command has ended, and everything is
uploaded; the store's address comes in the environment, where nobody else sees a password in it.
Uploading again changes nothing: a run is found by our id, and MLflow keeps one row for each name,
step, time and value.
"""

import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from experiments.process import secrecy
from experiments.tracking import address
from experiments.tracking.pace import Pace
from experiments.tracking.pipes import Link

LOG = "uploader.log"


def main() -> int:
    """Upload the runs in the folder that the command line names, and return the exit status."""
    folder, uri = Path(sys.argv[1]), os.environ[address.VARIABLE]
    os.environ |= address.environment(uri)
    secrecy.hide_environment(os.environ)
    file = logging.FileHandler(folder / LOG, delay=True)
    logging.basicConfig(handlers=[file], format="%(asctime)s %(levelname)s %(message)s")
    command = Link(sys.stdin.fileno(), os.dup(sys.stdout.fileno()))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # MLflow prints
    pace = Pace(command.waits)
    there = address.is_there(uri)
    absent = f"The store {address.name(uri)} takes no connection"
    command.hinder("MLflow is still loading" if there else absent)
    sys.meta_path.insert(0, pace)
    with command.loading() if there else nullcontext():
        from experiments.tracking.feed import follow  # it loads MLflow, which takes seconds
    return 0 if follow(folder, uri, command, pace) else 1


if __name__ == "__main__":
    result = main()
    logging.shutdown()
    os._exit(result)  # taking MLflow down in order would cost another half second
