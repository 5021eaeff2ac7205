"""A fault at every single operation of a save, and of a journal: the old state or the new loads."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import measured
import pytest
import torch
from injected import CRASHED, Fault, injected

from experiments import tensorfile
from experiments.errors import DataError
from experiments.runs import journal
from experiments.runs.journal import Journal

OLD, NEW = {"a": torch.zeros(500)}, {"a": torch.ones(500)}
STEPS = (1, 2, 3)
Act = Callable[[Path, Callable[[], None]], None]


def save(path: Path, told: Callable[[], None]) -> None:
    """Save a new checkpoint; tell when it is done."""
    tensorfile.save(path, NEW, {"step": 2})
    told()


def save_in_place(path: Path, told: Callable[[], None]) -> None:
    """Do what must not be done: write where the old checkpoint is."""
    path.with_name("new").unlink(missing_ok=True)
    tensorfile.save(path.with_name("new"), NEW, {"step": 2})
    content = path.with_name("new").read_bytes()
    with path.open("wb") as file:
        file.write(content)
    told()


def record(folder: Path, told: Callable[[], None]) -> None:
    """Record events in a new journal; tell of each that is done."""
    tracker = Journal(folder)
    try:
        for step in STEPS:
            tracker.add("metrics", step=step, values={"train/loss": 0.5})
            told()
        tracker.sync()
    finally:
        tracker.close()


def forked(act: Callable[[Callable[[], None]], None]) -> tuple[int, int]:
    """Act in a child: return its exit status, and how often it told that something was done."""
    end, other = os.pipe()
    child = measured.fork()
    if not child:
        status = 98
        try:
            act(lambda: os.write(other, b".") and None)
            status = 0
        finally:
            os._exit(status)
    os.close(other)
    with os.fdopen(end, "rb") as pipe:
        done = len(pipe.read())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), done


def met(act: Act, place: Path, at: int, fault: Fault) -> tuple[bool, int, bool]:
    """Act with a fault: whether it was reached, what was done before, and whether it was told."""
    if fault is Fault.crash:

        def crash(told: Callable[[], None]) -> None:
            with injected(at, fault):
                act(place, told)

        status, done = forked(crash)
        assert status in (0, CRASHED)
        return status == CRASHED, done, False
    done_before: list[None] = []
    raised = False
    with injected(at, fault) as injector:
        try:
            act(place, lambda: done_before.append(None))
        except OSError:
            raised = True
    return injector.is_reached, len(done_before), raised


def state(path: Path) -> str:
    """Name the state that loads."""
    try:
        tensors, facts = tensorfile.load(path)
    except DataError:
        return "none"
    assert facts["step"] == (1 if tensors["a"].equal(OLD["a"]) else 2)
    return "old" if facts["step"] == 1 else "new"


def states(act: Act, folder: Path, fault: Fault, *, first: bool = False) -> list[str]:
    """Return the state after a fault at each operation, and last after none."""
    found = []
    for at in count(1):
        place = folder / str(at)
        path = place / "a.safetensors"
        place.mkdir(parents=True)
        if not first:
            tensorfile.save(path, OLD, {"step": 1})
        reached, done, raised = met(act, path, at, fault)
        found.append(state(path))
        assert found[-1] == "new" or not done
        if not reached:
            return found
        assert raised or done or fault is Fault.crash  # a folder that is there need not be made
        if fault is Fault.error:
            assert not list(place.glob("*.part")), f"an orphan after operation {at}"
        tensorfile.save(path, NEW, {"step": 2})
        assert [entry.name for entry in place.iterdir()] == [path.name]
        assert state(path) == "new"
    raise AssertionError


@pytest.mark.parametrize("fault", Fault)
def test_after_a_fault_in_a_save_the_old_or_the_new_checkpoint_loads(
    fault: Fault, tmp_path: Path
) -> None:
    found = states(save, tmp_path, fault)
    assert len(found) == 11
    _, *later = found  # making the folder fails without harm, where it is there
    changes = later.index("new")
    assert 5 < changes < len(later) - 1
    assert later == ["old"] * changes + ["new"] * (len(later) - changes)


@pytest.mark.parametrize("fault", Fault)
def test_after_a_fault_in_a_first_save_there_is_a_whole_checkpoint_or_none(
    fault: Fault, tmp_path: Path
) -> None:
    _, *later = states(save, tmp_path, fault, first=True)
    changes = later.index("new")
    assert later == ["none"] * changes + ["new"] * (len(later) - changes)


def test_operations_are_counted_in_their_order(tmp_path: Path) -> None:
    with injected(99, Fault.error) as injector:
        tensorfile.save(tmp_path / "a.safetensors", NEW, {})
    written = ["open", "write", "flush", "fsync", "close"]
    assert injector.operations == ["mkdir", *written, "replace", "open", "fsync", "close"]


def test_a_save_that_writes_in_place_is_noticed(tmp_path: Path) -> None:
    lost = []
    for at in range(11, 18):
        path = tmp_path / str(at) / "a.safetensors"
        tensorfile.save(path, OLD, {"step": 1})
        met(save_in_place, path, at, Fault.crash)
        lost.append(state(path))
    assert "none" in lost


def steps(folder: Path) -> list[int]:
    path = folder / journal.FILE
    return [event["step"] for event, _ in journal.read(path)] if path.exists() else []


@pytest.mark.parametrize("fault", Fault)
def test_after_a_fault_in_a_journal_the_records_before_it_are_read(
    fault: Fault, tmp_path: Path
) -> None:
    for at in count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        reached, done, raised = met(record, folder, at, fault)
        found = steps(folder)
        assert found == list(STEPS[: len(found)])
        assert done <= len(found) <= done + 1
        assert raised or not reached or fault is Fault.crash
        again = Journal(folder, resume=(folder / journal.FILE).exists())
        again.add("metrics", step=9, values={})
        again.close()
        assert steps(folder) == [*found, 9]
        if not reached:
            break
    assert at > len(STEPS) + 3


def test_after_half_a_line_the_journal_goes_on(tmp_path: Path) -> None:
    with injected(4, Fault.error) as injector:  # after opening, a line, and giving it its name
        tracker = Journal(tmp_path)
        tracker.add("metrics", step=1, values={})
        with pytest.raises(OSError, match="No space left"):
            tracker.add("metrics", step=2, values={"train/loss": 0.5})
        tracker.add("metrics", step=3, values={})
        tracker.close()
    begun = ["open", "write", "replace"]
    assert injector.operations == [*begun, "write", "truncate", "write", "close"]
    assert steps(tmp_path) == [1, 3]


STRACE = shutil.which("strace")
# What is done at the system call: an error in its place, the end of the process in its place, or
# the end of the process with it.
REAL = ("error=EIO", "error=EIO:signal=KILL", "signal=KILL")


def traced(act: Callable[[], None], paths: list[Path], fault: str, call: str, at: int) -> int:
    """Act in a child at whose N-th system call of a name on some paths a fault is injected.

    Return its exit status: 0, 5 for an OSError, or -9.
    """
    end, other = os.pipe()
    child = measured.fork()
    if not child:
        status = 98
        try:
            os.close(other)
            os.read(end, 1)  # until the tracer is there
            act()
            status = 0
        except OSError:
            status = 5
        finally:
            os._exit(status)
    os.close(end)
    assert STRACE is not None
    command = [STRACE, "-qq", "-o", "/dev/null", "-p", str(child), "-e", f"trace={call}"]
    places = [part for path in paths for part in ("-P", str(path))]
    inject = ["-e", f"inject={call}:{fault}:when={at}"]
    with subprocess.Popen([*command, *inject, *places], stderr=subprocess.PIPE) as tracer:
        attached = _is_attached(child, tracer)
        os.close(other)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        tracer.communicate()
    if not attached:
        pytest.skip("processes may not be traced here")
    return status


def _is_attached(child: int, tracer: "subprocess.Popen[bytes]") -> bool:
    while tracer.poll() is None:
        status = Path(f"/proc/{child}/status").read_text()
        if "TracerPid:\t0\n" not in status:
            return True
        time.sleep(0.005)
    return False


@pytest.mark.whole
@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="system calls are those of Linux")
@pytest.mark.parametrize("fault", REAL)
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename", "close"])
def test_a_fault_of_the_system_in_a_save_leaves_the_old_or_the_new_checkpoint(
    call: str, fault: str, tmp_path: Path
) -> None:
    for at in count(1):
        path = tmp_path / str(at) / "a.safetensors"
        tensorfile.save(path, OLD, {"step": 1})
        paths = [path, path.with_suffix(".part"), path.parent]
        status = traced(lambda: save(path, lambda: None), paths, fault, call, at)  # noqa: B023
        if not status:
            break
        assert status == (5 if fault == "error=EIO" else -9)
        assert state(path) in ("old", "new")
        if status == 5:
            assert not list(path.parent.glob("*.part"))
        tensorfile.save(path, NEW, {"step": 2})
        assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert state(path) == "new"
    assert at > 1, "no such system call was met"


@pytest.mark.whole
@pytest.mark.skipif(STRACE is None, reason="strace is not installed")
@pytest.mark.parametrize("fault", REAL)
@pytest.mark.parametrize("call", ["openat", "write", "rename", "fsync", "close"])
def test_a_fault_of_the_system_in_a_journal_leaves_the_records_before_it(
    call: str, fault: str, tmp_path: Path
) -> None:
    for at in count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        paths = [folder / journal.FILE, folder / "journal.new"]
        status = traced(lambda: record(folder, lambda: None), paths, fault, call, at)  # noqa: B023
        found = steps(folder)
        assert found == list(STEPS[: len(found)])
        if call == "write" and status:
            assert len(found) in (at - 1, at)
        if not status:
            break
        again = Journal(folder, resume=(folder / journal.FILE).exists())
        again.add("metrics", step=9, values={})
        again.close()
        assert steps(folder) == [*found, 9]
    assert found == list(STEPS)
    assert at > 1, "no such system call was met"
