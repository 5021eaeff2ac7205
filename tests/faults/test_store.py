"""A store that many processes make and fill at once, and that a kill leaves whole or absent."""

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uploads

pytestmark = pytest.mark.process


def test_eight_processes_make_and_fill_a_store(
    tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    names = [f"run{number}" for number in range(8)]
    for attempt in range(rounds(5, 1)):
        folder = tmp_path / str(attempt)
        store = folder / "store" / "mlflow.db"
        for name in names:
            uploads.write_run(folder / name, steps=2000)
        together = []
        for name in names:
            arguments = ["sync", str(folder / name), "--uri", f"sqlite:///{store}"]
            log = folder / f"{name}.log"
            together.append((uploads.started(uploads.command, arguments, "/", log=log), log))
        done = [uploads.finished(process, log) for process, log in together]
        assert [(one.status, one.err) for one in done] == [(0, "")] * 8
        assert uploads.statuses(store) == dict.fromkeys(names, "FINISHED")
        for name in names:
            assert uploads.rows(store, folder / name) == uploads.expected(folder / name)
        assert uploads.select(store, "select count(*) from experiments") == [(2,)]  # MLflow's own


def test_a_store_whose_making_is_killed_opens_the_next_time(
    tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    chance, log = random.Random(0), tmp_path / "log"
    seconds = 0.0  # that making takes, as the first attempt shows
    for attempt in range(rounds(16, 2)):
        store = tmp_path / str(attempt) / "mlflow.db"
        making = uploads.started(uploads.open_store, f"sqlite:///{store}", log=log)
        assert uploads.eventually(store.with_name("mlflow.db.part").exists)
        if seconds:
            time.sleep(seconds * chance.random())
            making.kill()
            making.join()
            # It is not there, or it is whole: no process ever opens half of one.
            assert not store.exists() or uploads.select(store, "select * from alembic_version")
            making = uploads.started(uploads.open_store, f"sqlite:///{store}", log=log)
        begun = time.monotonic()
        assert uploads.finished(making, log).status == 0, attempt
        seconds = seconds or time.monotonic() - begun
        assert uploads.select(store, "select count(*) from experiments") == [(1,)]
        assert {path.name for path in store.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_store_that_may_only_be_read_is_found_before_anything_is_made(
    tmp_path: Path, store: Path, mounted: Callable[[str], Path]
) -> None:
    fixed, log = mounted("size=4m"), tmp_path / "log"
    shutil.copyfile(store, fixed / "mlflow.db")
    subprocess.run(["mount", "-o", "remount,ro", str(fixed)], check=True)
    wanted = [
        *uploads.SHORT,
        f"output={tmp_path}/runs",
        f"tracking.uri=sqlite:///{fixed}/mlflow.db",
    ]
    for arguments in (wanted, ["-m", *wanted, "optimizer.lr=0.1,0.2"]):
        process = uploads.started(uploads.train, arguments, f"{tmp_path}/facts", 0.0, "", log=log)
        done = uploads.finished(process, log)
        assert done.status == 5
        assert done.err.startswith(f"error: MLflow's store {fixed}/mlflow.db cannot be written to")
        assert len(done.err.splitlines()) == 1
        assert not (tmp_path / "runs").exists()


def test_an_upload_is_given_up_after_a_while_without_progress(tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    uploads.write_run(run)
    arguments = (str(run), "http://127.0.0.1:9", "", 1.0)
    begun = time.monotonic()
    process = uploads.started(uploads.follow, *arguments, log=log)
    done = uploads.finished(process, log)
    assert (done.status, done.err) == (1, "")
    assert set(done.out.splitlines()) <= {
        f"obstacle The store http://127.0.0.1:9 {text}" for text in (
            "takes no connection", "has not answered yet", "does not answer: Connection refused."
        )
    }  # fmt: skip
    assert 1.0 <= time.monotonic() - begun < 30
    assert (run / "uploader.log").read_text().count("does not answer") == 1
