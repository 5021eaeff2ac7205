"""A run's folder that somebody made up: it is data, and leads nowhere."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import uploads

from experiments.runs import journal
from experiments.runs.folder import Folder, runs_in
from experiments.runs.journal import Journal
from experiments.tracking import leftovers, positions
from experiments.tracking.positions import Position

SECRET = "the content of somebody's file"


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """Fail where something waits for a pipe."""
    signal.alarm(100)
    yield
    signal.alarm(0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder outside all runs, with a file in it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret.txt").write_text(SECRET)
    return tmp_path / "home"


def forged(folder: Path) -> Journal:
    """Begin a run's journal."""
    tracker = uploads.write_run(folder, steps=3, end=None)
    (folder / "evil.py").write_text("print('ran')")
    return tracker


def ended(tracker: Journal) -> None:
    """End it."""
    tracker.add("end", status="FINISHED")
    tracker.close()


@pytest.mark.process
def test_a_sync_writes_nowhere_but_into_the_store_and_reads_nothing_but_the_folder(
    tmp_path: Path, store: Path, home: Path
) -> None:
    runs = tmp_path / "runs"
    for name, where in {
        "absolute": str(home), "climbing": "../" * 12 + str(home)[1:],
        "escaped": "%2e%2e/" * 12 + str(home)[1:], "windows": "..\\..\\x",
    }.items():  # fmt: skip
        tracker = forged(runs / name)
        tracker.artifact("evil.py", where)
        ended(tracker)
    tracker = forged(runs / "links")
    (runs / "links" / "code").mkdir()
    (runs / "links" / "code" / "all").symlink_to(home)
    (runs / "links" / "pictures").symlink_to(home)
    os.mkfifo(runs / "links" / "pipe")
    (runs / "links" / "checkpoints").mkdir()
    (runs / "links" / "checkpoints" / "best.safetensors").write_bytes(b"x" * 100)
    for path in ("pictures/secret.txt", "pipe", str(home / "secret.txt")):
        tracker.artifact(path)
    tracker.add(
        "model", path="checkpoints/best.safetensors", code="code", module="m",
        input_shape=[1], outputs=1,
    )  # fmt: skip
    tracker.add("tags", values={"mlflow.parentRunId": "x", "experiments.run_id": "id-runs-links2"})
    ended(tracker)
    before = sorted(home.iterdir())

    done = uploads.sync(runs, "--uri", f"sqlite:///{store}", log=tmp_path / "log")
    assert done.status == 1, done
    refused = {name: line for line in done.err.splitlines() for name in [line.split()[1]]}
    assert len(refused) == 5
    assert "MLflow refused 6" in done.err
    assert sorted(home.iterdir()) == before
    assert not [path for path in tmp_path.rglob("evil.py") if path.parent.parent != runs]
    stored = [path for path in store.parent.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in stored)
    assert uploads.select(store, "select value from tags where key = 'mlflow.parentRunId'") == []


def test_a_folder_brought_from_elsewhere_is_no_leftover(tmp_path: Path) -> None:
    runs, uri = tmp_path / "runs", "sqlite:///store.db"
    for name in ("own", "made"):
        uploads.write_run(runs / name)
        positions.record(runs / name, uri, Position())
    assert list(leftovers.cut_off(runs, uri, tmp_path / "x")) == [runs / "made", runs / "own"]
    shutil.copytree(runs / "own", runs / "copy")
    facts = json.loads((runs / "made" / positions.FILE).read_text())
    facts[uri]["lock"] = [1, 2]
    (runs / "made" / positions.FILE).write_text(json.dumps(facts))
    assert list(leftovers.cut_off(runs, uri, tmp_path / "x")) == [runs / "own"]


@pytest.mark.parametrize(
    "facts",
    [
        {"mlflow_run_id": "' or 1=1 --"}, {"experiment_id": "../../x"}, {"offset": -1},
        {"decimation": {}}, {"decimation": {"counts": {}, "dense": 0, "left_out": {}}},
        {"refused": "x"},
    ],
)  # fmt: skip
def test_a_position_that_was_made_up_is_none(tmp_path: Path, facts: dict[str, object]) -> None:
    uploads.write_run(tmp_path)
    positions.record(tmp_path, "store", Position(offset=5, mlflow_run_id="0" * 32))
    known = json.loads((tmp_path / positions.FILE).read_text())
    known["store"] |= facts
    (tmp_path / positions.FILE).write_text(json.dumps(known))
    assert positions.recorded(tmp_path, "store") == Position()


def test_a_position_is_written_through_no_link(tmp_path: Path, home: Path) -> None:
    run = tmp_path / "run"
    uploads.write_run(run)
    (run / f"{positions.FILE}.part").symlink_to(home / "secret.txt")
    positions.record(run, "store", Position())
    assert (home / "secret.txt").read_text() == SECRET


def test_what_is_no_plain_file_is_no_journal_and_no_result(tmp_path: Path, home: Path) -> None:
    for name in ("pipe", "link"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file in (journal.FILE, "result.json", "reused.json", positions.FILE):
            if name == "pipe":
                os.mkfifo(folder / file)
            else:
                (folder / file).symlink_to(home / "secret.txt")
        assert Folder(folder).result.reason == "it left no result"
        assert Folder(folder).source == Folder(folder)
        assert positions.recorded(folder, "store") is None
    uploads.write_run(tmp_path / "run")
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "run")
    assert list(runs_in(tmp_path / "runs")) == []
