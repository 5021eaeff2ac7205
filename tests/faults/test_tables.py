"""Our client of a store in a file leaves in every table what MLflow's own leaves there."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uploads

from experiments.runs.journal import Journal
from experiments.tracking import tables

pytestmark = pytest.mark.process

NUMBERS = [0.1, -2.5, 1e300, float("nan"), float("inf"), -float("inf"), 0.0, 3.0]
IDS = re.compile(r"\b[0-9a-f]{32}\b")
CLOCKS = {"creation_time", "last_update_time"}  # of experiments, by MLflow's own clock


def write_runs(folder: Path) -> None:
    """Write journals with every event but models, which both ways leave to MLflow."""
    uploads.write_run(folder, steps=1300, names=("train/loss", "norm/params"))
    uploads.write_run(folder / "0", steps=250, parent=f"id-{folder.parent.name}-{folder.name}")
    tracker = uploads.write_run(folder / "1", parent="gone", end=None)
    data = {"name": "digits", "digest": "0a1b", "source": "sklearn", "profile": "{}"}
    for context in ("training", "training", "testing"):
        tracker.add("dataset", **data, context=context)
    tracker.series(41, {"odd": NUMBERS})
    tracker.metrics(3, {"odd": 7.0, "val/accuracy": 0.5})  # an earlier step
    tracker.metrics(3, {"odd": 7.0, "wrong\nname": 1.0})
    tracker.add("tags", values={"a": "changed", "ünïcode": "ß 漢", "mlflow.note.content": "note"})
    tracker.add("tags", values={"x" * 300: "too long"})
    (folder / "1" / "figure.txt").write_text("figure")
    tracker.artifact("figure.txt", "figures/deep")
    tracker.close()


def go_on(folder: Path) -> None:
    """Let one of the runs go on."""
    tracker = Journal(folder / "0", resume=True)
    tracker.add("resume", step=250)
    tracker.series(251, {"train/loss": [1.0, 2.0]})
    tracker.add("end", status="FAILED")
    tracker.close()


def contents(store: Path) -> dict[str, list[str]]:
    """Return the rows of every table: runs by our ids, and no other ids, times and folders."""
    found: dict[str, list[str]] = {}
    query = "select run_uuid, value from tags where key = 'experiments.run_id'"
    with closing(sqlite3.connect(store)) as connection:
        known = dict(connection.execute(query).fetchall())
        names = connection.execute("select name from sqlite_master where type = 'table'")
        for (table,) in names.fetchall():
            rows = connection.execute(f"select * from {table}")
            columns = [column[0] for column in rows.description]
            found[table] = sorted(
                IDS.sub(
                    lambda match: known.get(match.group(), "ID"),
                    repr([(c, v) for c, v in zip(columns, row, strict=True) if c not in CLOCKS]),
                ).replace(str(store.parent), "HERE")
                for row in rows.fetchall()
            )
    return found


def files(store: Path, known: dict[str, Any]) -> list[tuple[str, bytes]]:
    """Return what lies beside a store, runs by our ids."""
    paths = [path for path in (store.parent / "mlartifacts").rglob("*") if path.is_file()]
    names = [IDS.sub(lambda match: known[match.group()], str(path)) for path in paths]
    return sorted(
        (name.removeprefix(str(store.parent)), path.read_bytes())
        for name, path in zip(names, paths, strict=True)
    )


def test_both_ways_leave_the_same_in_every_table(tmp_path: Path, made_store: Path) -> None:
    runs, stores = tmp_path / "runs", []
    write_runs(runs)
    ways = {"own": uploads.command, "mlflow": uploads.command_by_mlflow}
    for way in ways:
        (tmp_path / way).mkdir()
        stores.append(Path(shutil.copyfile(made_store, tmp_path / way / "mlflow.db")))
    ends = []
    for attempt in range(3):
        for store, send in zip(stores, ways.values(), strict=True):
            if attempt == 1:  # all is sent once more
                (runs / "0" / "upload.json").unlink(missing_ok=True)
            arguments = ["sync", str(runs), "--uri", f"sqlite:///{store}"]
            process = uploads.started(send, arguments, "/", log=tmp_path / "log")
            ends.append(uploads.finished(process, tmp_path / "log").status)
        if attempt == 1:
            go_on(runs)
        own, other = map(contents, stores)
        assert own.keys() == other.keys()
        for table in own:
            assert own[table] == other[table], table
    assert ends == [1, 1, 0, 0, 0, 0]  # what MLflow refuses is told once
    assert len(own["runs"]) == 3
    assert len(own["input_tags"]) == 1  # MLflow keeps one use of a data set
    query = "select run_uuid, value from tags where key = 'experiments.run_id'"
    known = [dict(uploads.select(store, query)) for store in stores]
    assert files(stores[0], known[0]) == files(stores[1], known[1])


@pytest.mark.parametrize(
    "change",
    [
        "alter table runs add column colour varchar",
        "alter table tags rename column value to words",
        "update alembic_version set version_num = 'ffffffffffff'",
        "drop table input_tags",
    ],
)
def test_tables_that_are_not_known_are_left_to_mlflow(
    tmp_path: Path, made_store: Path, change: str
) -> None:
    store = Path(shutil.copyfile(made_store, tmp_path / "mlflow.db"))
    assert tables.is_known(store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(change)
    assert not tables.is_known(store)


def test_a_store_with_another_column_is_written_to_by_mlflow(
    tmp_path: Path, made_store: Path
) -> None:
    store, run = Path(shutil.copyfile(made_store, tmp_path / "mlflow.db")), tmp_path / "run"
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("alter table runs add column colour varchar default 'blue'")
    uploads.write_run(run)
    done = uploads.sync(run, "--uri", f"sqlite:///{store}", log=tmp_path / "log")
    assert (done.status, done.err) == (0, "")
    assert uploads.rows(store, run) == uploads.expected(run)
    assert uploads.select(store, "select colour from runs") == [("blue",)]
