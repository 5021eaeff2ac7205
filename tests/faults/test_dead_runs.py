"""Runs whose process is gone are closed by the next command, and living ones are left alone."""

import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import uploads

from experiments.runs import journal
from experiments.tracking import leftovers, positions
from experiments.tracking.positions import Position

pytestmark = pytest.mark.process


@pytest.fixture
def holders() -> Iterator[dict[Path, BaseProcess]]:
    """Return where a test puts the processes that run runs, which are killed after it."""
    processes: dict[Path, BaseProcess] = {}
    yield processes
    for process in processes.values():
        process.kill()
        process.join()


def test_dead_runs_are_closed_and_living_ones_are_not_touched(
    tmp_path: Path,
    store: Path,
    holders: dict[Path, BaseProcess],
    rounds: Callable[[int, int], int],
) -> None:
    runs, log, uri = tmp_path / "runs", tmp_path / "log", f"sqlite:///{store}"
    dead = [runs / f"dead{number}" for number in range(rounds(8, 2))]
    dead.append(runs / "sweep" / "3")
    living = [runs / f"living{number}" for number in range(8)]
    for run in dead + living:
        holders[run] = uploads.started(uploads.hold, str(run), 60, log=tmp_path / run.name)
    assert uploads.eventually(lambda: all(map(ready, holders)))
    assert uploads.sync(runs, "--uri", uri, log=log).status == 0
    assert set(uploads.statuses(store).values()) == {"RUNNING"}

    (cut_off, half) = (runs / "finished", runs / "half")
    uploads.write_run(cut_off)
    positions.record(cut_off, uri, Position())  # its upload was to come, the store was absent
    uploads.write_run(half, end=None).close()
    uploads.sync(half, "--uri", uri, log=log)
    offline = runs / "offline"
    uploads.write_run(offline, end=None).close()

    for run in dead:
        holders[run].kill()
        holders[run].join()
    before = {run: (run / "upload.json").read_bytes() for run in living}
    own = runs / "own"
    uploads.write_run(own)
    process = uploads.started(uploads.follow, str(own), uri, log=log)
    done = uploads.finished(process, log)
    assert done.status == 0
    # Its own is complete, and it says so before it turns to the others.
    assert done.out.splitlines()[-1] == "done"

    found = uploads.statuses(store)
    assert {found[run.name] for run in [*dead, half]} == {"KILLED"}
    assert {found[run.name] for run in living} == {"RUNNING"}
    assert {found[run.name] for run in (own, cut_off)} == {"FINISHED"}
    assert "offline" not in found
    for run in (*dead, *living, own, cut_off):
        assert uploads.rows(store, run) == uploads.expected(run)
    assert {run: (run / "upload.json").read_bytes() for run in living} == before


def test_the_status_that_a_command_still_tells_is_that_of_its_open_runs(
    tmp_path: Path, store: Path
) -> None:
    uri, log = f"sqlite:///{store}", tmp_path / "log"
    for name, word, status in (("a", "FAILED", "FAILED"), ("b", "", "KILLED")):
        run = tmp_path / name / "run"
        uploads.write_run(run, end=None).close()  # the disk took no end
        process = uploads.started(uploads.follow, str(run), uri, word, log=log)
        assert uploads.finished(process, log).status == 0
        run_id = uploads.position(run)["mlflow_run_id"]
        query = f"select status from runs where run_uuid = '{run_id}'"
        assert uploads.select(store, query) == [(status,)]


def test_a_thousand_finished_runs_are_looked_at_in_a_moment(tmp_path: Path) -> None:
    for number in range(1000):
        run = tmp_path / f"run{number}"
        uploads.write_run(run, steps=10)
        size = (run / journal.FILE).stat().st_size
        positions.record(run, "store", Position(offset=size, ended=True, mlflow_run_id="0" * 32))
    begun = time.perf_counter()
    assert list(leftovers.cut_off(tmp_path, "store", tmp_path / "own")) == []
    assert time.perf_counter() - begun < 2.0
    (tmp_path / "run500" / "upload.json").unlink()
    positions.record(tmp_path / "run500", "store", Position())
    assert list(leftovers.cut_off(tmp_path, "store", tmp_path / "own")) == [tmp_path / "run500"]
    assert list(leftovers.cut_off(tmp_path, "other", tmp_path / "own")) == []


def ready(run: Path) -> bool:
    """Say whether a run has been begun and written."""
    path = run / journal.FILE
    return path.exists() and len(uploads.expected(run)) == 60
