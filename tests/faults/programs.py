"""The program as a process: forked from a server that has imported all of it, or from its start."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import uploads
from composed import ROOT

from experiments.cli import main
from experiments.process import signals
from experiments.runs import journal

QUICK = (
    *("device=cpu", "device.threads=1", "tracking=offline"),
    *("tracking.figures=false", "tracking.model=false", "batch_size=64"),
)
# Code that does something before each step's traces are left.
_BETWEEN = """
import os, time
from experiments.training import engine
steps = engine.steps

def between(*arguments):
    for step in steps(*arguments):
        ACTION
        yield step

engine.steps = between
"""
SLOWLY = _BETWEEN.replace("ACTION", "time.sleep(0.02)")
_LONGEST = 90.0  # seconds that a process may take


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and when."""

    status: int
    out: str
    err: str
    moment: float


class Running:
    """A process that a test has started, and ends with it."""

    def __init__(self, process: "BaseProcess | subprocess.Popen[bytes]", log: Path) -> None:
        assert process.pid is not None
        self.pid = process.pid
        self._process, self._log = process, log

    def wait(self) -> Ended:
        """Wait until the process ends, or kill it."""
        timer = threading.Timer(_LONGEST, self.kill)
        timer.start()
        if isinstance(self._process, subprocess.Popen):
            status = self._process.wait()
        else:
            self._process.join()
            status = self._process.exitcode or 0
        moment = time.monotonic()
        timer.cancel()
        out, err = (Path(f"{self._log}.{end}").read_text() for end in ("out", "err"))
        return Ended(status, out, err, moment)

    def signalled(self, number: int, *, group: bool = False) -> tuple[Ended, float]:
        """Send a signal, and return how the process ended and the seconds that it took."""
        start = time.monotonic()
        (os.killpg if group else os.kill)(self.pid, number)
        ended = self.wait()
        return ended, ended.moment - start

    def kill(self) -> None:
        """End the process without asking it."""
        self._process.kill()


def forked(*arguments: str, log: Path, code: str = "") -> Running:
    """Start the program in a process that has imported it already, where `code` runs before it."""
    return Running(uploads.started(program, arguments, code, log=log), log)


def started(*arguments: str, log: Path, ignored: int | None = None) -> Running:
    """Start the program as a user does, in a group of its own; maybe with a signal ignored."""

    def usual() -> None:
        _take_signals()
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    environment = {name: text for name, text in os.environ.items() if name[:6] not in _HIDDEN}
    with Path(f"{log}.out").open("wb") as out, Path(f"{log}.err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "run.py", *arguments],
            cwd=ROOT,
            env=environment | uploads.QUIET,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=usual,  # noqa: PLW1509  # it touches nothing that a thread holds
        )
    return Running(process, log)


_HIDDEN = ("PYTEST", "HYDRA_")


def program(arguments: Sequence[str], code: str) -> None:
    """Do what `run.py` does; this is called in the started process."""
    os.setsid()
    os.chdir(ROOT)
    os.environ.pop("HYDRA_FULL_ERROR", None)
    sys.argv = ["run.py", *arguments]
    _take_signals()
    exec(code, {})
    signals.install()
    main.main(ROOT)


def held(gate: Path) -> str:
    """Return code that holds a run at its tenth step until there is a file."""
    waiting = f"while step.t == 10 and not os.path.exists('{gate}'): time.sleep(0.01)"
    return _BETWEEN.replace("ACTION", waiting)


def run(*arguments: str, log: Path, code: str = "") -> Ended:
    """Run the program to its end."""
    return forked(*arguments, log=log, code=code).wait()


def only_run(output: Path) -> Path:
    """Return the folder of the only run in an output folder, as soon as there is one."""
    found: list[Path] = []

    def one() -> bool:
        found[:] = [path.parent for path in output.glob(f"*/{journal.FILE}")]
        return bool(found)

    assert eventually(one)
    (folder,) = found
    return folder


def reached(folder: Path) -> int:
    """Return the last step whose numbers a run's journal has."""
    last = 0
    for event, _ in journal.read(folder / journal.FILE):
        if event["event"] in journal.NUMBERS:
            last = max(last, *(step for _, step, _ in journal.points(event)))
    return last


def status_of(folder: Path) -> str | None:
    """Return what the last event of a run's journal says of its end."""
    status: str | None = None
    for event, _ in journal.read(folder / journal.FILE):
        status = event.get("status")
    return status


def eventually(condition: Callable[[], bool], seconds: float = 60, pause: float = 0.003) -> bool:
    """Wait until something holds, looking often."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause)
    return condition()


def _take_signals() -> None:
    """Undo what this process was started to ignore."""
    for number in signals.ENDING:
        signal.signal(number, signal.SIG_DFL)
