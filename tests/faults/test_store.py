"""A store that many processes make and fill at once, and that a kill leaves whole or absent."""

import random
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
    for attempt in range(rounds(16, 3)):
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
