"""The live line: what it says, only on a terminal, and that it goes when the run ends."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from composed import ROOT, SMALL, compose

from experiments.training.loop import Step
from experiments.training.progress import Progress
from experiments.training.session import Session, prepare


class Terminal(io.StringIO):
    """Remembers all that is written to it."""

    def isatty(self) -> bool:
        return True


def terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of standard error."""
    screen = Terminal()
    patch.setattr(sys, "stderr", screen)
    return screen


def session(*overrides: str) -> Session:
    return prepare(compose(["device=cpu", "tracking=none", *SMALL, *overrides]))


def step(t: int, count: int = 1) -> Step:
    return Step(t, torch.zeros(count), torch.zeros(1), {})


def shown(text: str) -> str:
    """Return what stays on a screen, where a line begins again after a carriage return."""
    lines = []
    for line in text.split("\n"):
        row: list[str] = []
        for part in line.split("\r"):
            row[: len(part)] = part
        lines.append("".join(row).rstrip())
    return "\n".join(lines)


def test_without_a_terminal_it_is_quiet_and_loads_no_tqdm(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tqdm", "tqdm.contrib.logging"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would be an error
    with Progress(session()) as progress:
        progress.add(step(1))
        progress.tell(1, [0.5])
    assert capfd.readouterr() == ("", "")


def test_it_tells_epoch_step_and_loss_and_counts_items(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with Progress(session("epochs=100", "accumulate=2")) as progress:
        progress.tell(43, [0.12344])
        progress.add(step(40, 40))
        progress._bar.refresh()
        line = shown(screen.getvalue())
        # An epoch's two batches make one step of 70 items.
        assert (progress._bar.n, progress._bar.total) == (40 * 70, 100 * 70)
    assert "epoch 43/100 step 43 loss 0.1234" in line
    assert " 40 % " in line
    assert "img/s" in line
    assert line.endswith(" left")


def test_an_epoch_ends_with_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with Progress(session("epochs=7")) as progress:
        for t, epoch in ((1, 1), (2, 1), (3, 2), (14, 7)):
            progress.tell(t, [1.0])
            progress._bar.refresh()
            assert f"epoch {epoch}/7 step {t} " in shown(screen.getvalue())


def test_it_is_complete_after_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with Progress(session("epochs=3")) as progress:
        for t in (3, 6):
            progress.add(step(t, 3))
        progress._bar.refresh()
        assert "100 %" in shown(screen.getvalue())


def test_nothing_of_it_is_left_after_the_end_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), Progress(session()) as progress:
        progress.tell(1, [0.5])
        progress._bar.refresh()
        assert shown(screen.getvalue())
        raise ZeroDivisionError
    assert screen.getvalue().strip()
    assert not shown(screen.getvalue())


def on_terminal(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Return status, standard output and what a terminal got as standard error of the program."""
    screen, error = pty.openpty()
    fcntl.ioctl(error, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    command = [sys.executable, "run.py", *arguments, f"output={folder}", "device=cpu"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=error) as process:
        os.close(error)
        written = b"".join(_until_closed(screen))
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(screen)
    return process.returncode, output.decode(), written.decode()


def _until_closed(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(descriptor, 4096)
        except OSError:  # Linux says so that nobody can write any more
            return


@pytest.mark.process
def test_a_run_on_a_terminal_has_a_live_line_which_goes_in_the_end(tmp_path: Path) -> None:
    status, output, written = on_terminal("epochs=2", "tracking=none", folder=tmp_path)
    assert status == 0, written
    assert "epoch 1/2 step 40 loss " in written
    assert "img/s" in written
    assert not shown(written).strip()
    assert "\r" not in output
    assert "epoch 2 " in output
    assert "img/s" not in output


@pytest.mark.process
@pytest.mark.whole
def test_a_run_without_a_terminal_has_none(tmp_path: Path) -> None:
    command = [sys.executable, "run.py", "epochs=2", "tracking=none", f"output={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert not done.stderr
    assert b"\r" not in done.stdout


def test_it_tells_between_what_the_losses_of_several_runs_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = terminal(monkeypatch)
    with Progress(session()) as progress:
        progress.tell(1, [0.5, 0.25, 0.75])
        progress._bar.refresh()
        assert "loss 0.2500 to 0.7500" in shown(screen.getvalue())
