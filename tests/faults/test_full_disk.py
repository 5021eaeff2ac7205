"""A disk that is full, or may only be read: one line, status 5, and the run goes on later."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measured
import pytest
import scenes
from composed import ROOT

from experiments import tensorfile
from experiments.cli import main
from experiments.runs import journal
from experiments.runs.folder import Folder
from experiments.sweeps.task import Task

COMMAND = [
    *scenes.QUICK,
    "model=mlp",
    "optimizer=adam",
    "checkpoint.every=5",
    "checkpoint.unit=step",
]


def ended(
    arguments: list[str], said: Path, *, limit: int = resource.RLIM_INFINITY
) -> tuple[int, str]:
    """Run a command in a child whose files grow no further than a limit: status and stderr."""
    child = measured.fork()
    if not child:
        descriptor = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w")  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        status = 99
        try:
            status = main.command(ROOT, arguments)
            sys.stderr.flush()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text()


def folder_in(output: Path) -> Path | None:
    found = [path.parent for path in output.glob(f"*/{journal.FILE}")]
    return found[0] if found else None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train without a limit."""
    output = tmp_path_factory.mktemp("whole")
    status, _ = ended([*COMMAND, f"output={output}"], output / "said")
    assert status == 0
    folder = folder_in(output)
    assert folder is not None
    return folder


def check_and_go_on(output: Path, status: int, said: str, whole: Path) -> str:
    """Check what a full disk left, go on without it, and return how far the run had come."""
    assert status in (0, 5), said
    if status:
        assert said.count("\n") == 1, said
        assert "cannot be written" in said
    folder = folder_in(output)
    if folder is None or not (folder / journal.FILE).stat().st_size:
        return "no run"
    kept = sorted(path.name for path in folder.glob("checkpoints/*"))
    assert not [name for name in kept if not name.endswith(".safetensors")], kept
    for name in kept:
        tensorfile.load(folder / "checkpoints" / name)
    status, said = ended(
        ["resume=" + folder.name, "resume_changed=true", *COMMAND, f"output={output}"],
        output / "said",
    )
    assert status == 0, said
    assert scenes.same(scenes.outcome(folder), scenes.outcome(whole))
    return "with checkpoints" if kept else "without checkpoints"


def test_files_that_grow_no_further(
    tmp_path: Path, whole: Path, rounds: Callable[[int, int], int]
) -> None:
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    count = rounds(40, 4)
    met = set()
    for number in range(count):
        output, limit = tmp_path / str(number), largest * (number + 1) // count
        status, said = ended([*COMMAND, f"output={output}"], tmp_path / "said", limit=limit)
        met.add((status, check_and_go_on(output, status, said, whole)))
    assert {status for status, _ in met} >= {5}
    assert (5, "with checkpoints") in met or count < 40


def test_a_file_system_that_is_full(
    tmp_path: Path, whole: Path, mounted: Callable[[str], Path], rounds: Callable[[int, int], int]
) -> None:
    needed = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file()) // 1024
    count = rounds(12, 2)
    for number in range(count):
        size = max(16, needed * (number + 1) // (count + 1))
        disk = mounted(f"size={size}k")
        status, said = ended([*COMMAND, f"output={disk}"], tmp_path / "said")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        check_and_go_on(disk, status, said, whole)


@pytest.mark.parametrize("what", ["output", "run", "checkpoints", "store"])
def test_a_place_that_may_only_be_read_is_found_before_the_first_step(
    what: str, tmp_path: Path, request: pytest.FixtureRequest, mounted: Callable[[str], Path]
) -> None:
    disk = mounted("size=4m")
    arguments = [*COMMAND, f"output={tmp_path / 'runs'}"]
    if what == "output":
        arguments = [*COMMAND, f"output={disk / 'runs'}"]
    elif what == "store":
        arguments += ["tracking=mlflow", f"tracking.uri=sqlite:///{disk / 'mlflow.db'}"]
    else:
        folder = disk / "run"
        (folder / "checkpoints").mkdir(parents=True)
        arguments = [*COMMAND, f"output={disk}", f"hydra.run.dir={folder}"]
        if what == "checkpoints":
            place = folder / what
            subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
            request.addfinalizer(lambda: subprocess.run(["umount", str(place)], check=True))
            disk = place
    subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
    status, said = ended(arguments, tmp_path / "said")
    assert status == 5, said
    assert said.count("\n") == 1
    assert "ead-only" in said
    found = [path for path in tmp_path.rglob(journal.FILE) if path.stat().st_size]
    steps = [e for path in found for e, _ in journal.read(path) if e["event"] in journal.NUMBERS]
    assert not steps


SWEEP = ["-m", *COMMAND, "optimizer.lr=0.01,0.1", "seed=1,2", "batch_size=30,60",
         "hydra.launcher.probe=false"]  # fmt: skip


def check_and_go_on_with_the_sweep(output: Path, status: int, said: str) -> str:
    """Check what a full disk left of a sweep, go on, and return how far the sweep had come."""
    assert status in (0, 5), said
    if status:
        assert "cannot be written" in said.splitlines()[-1], said
    sweeps = sorted(output.glob("*-sweep"))
    was = [Folder(path).end for path in sweeps if Folder(path).exists]
    if was == ["FINISHED"]:
        assert (sweeps[0] / "leaderboard.md").exists()
        assert status == 0
        return "finished"
    again, said = ended([*SWEEP, f"output={output}"], output / "said")
    assert again == 0, said
    (folder,) = [path for path in output.glob("*-sweep") if Folder(path).exists]
    assert Folder(folder).end == "FINISHED"
    assert [Folder(folder / str(job)).end for job in range(8)] == ["FINISHED"] * 8
    assert (folder / "leaderboard.md").read_text().count("finished") == 8
    return "goes on" if was else "nothing"


def test_a_sweep_on_a_file_system_that_is_full(
    tmp_path: Path, mounted: Callable[[str], Path], rounds: Callable[[int, int], int]
) -> None:
    status, said = ended([*SWEEP, f"output={tmp_path / 'whole'}"], tmp_path / "said")
    assert status == 0, said
    files = [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    needed = sum(4 * -(-path.stat().st_size // 4096) for path in files)  # KiB, in whole pages
    count, met = rounds(8, 1), set()
    for number in range(count):
        disk = mounted(f"size={needed * (number + 1) // (count + 1)}k")
        status, said = ended([*SWEEP, f"output={disk}"], tmp_path / "said")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        met.add(check_and_go_on_with_the_sweep(disk, status, said))
    assert "goes on" in met


@pytest.mark.whole
def test_files_of_a_sweep_that_grow_no_further(
    tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    for number in range(count := rounds(6, 1)):
        output, limit = tmp_path / str(number), 9000 * (number + 1) // count
        status, said = ended([*SWEEP, f"output={output}"], tmp_path / "said", limit=limit)
        check_and_go_on_with_the_sweep(output, status, said)


SEARCH = ["-m", *COMMAND, "optimizer.lr=interval(0.01,0.1)", "hydra/sweeper=optuna",
          "hydra.sweeper.n_trials=4", "hydra.sweeper.batch=2"]  # fmt: skip


@pytest.mark.parametrize(
    "command", [pytest.param(SWEEP, marks=pytest.mark.whole), SEARCH], ids=["sweep", "search"]
)
def test_a_sweep_whose_folders_are_removed_meanwhile_says_so(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = Task._train

    def removing(self: Task, *given: Any) -> float:
        if (self.folder / "1" / "result.json").exists():  # of the first group, which has ended
            shutil.rmtree(self.folder / "1")
        return trained(self, *given)

    monkeypatch.setattr(Task, "_train", removing)
    assert main.command(ROOT, [*command, f"output={tmp_path}"]) == 1
    told = capsys.readouterr().err
    assert "error: 1 of " in told
    assert "#1 " in told
    assert told.rstrip().endswith("is gone")
