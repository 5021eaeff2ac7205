"""`experiments sync`: exactly once, from the folder alone, and clear about what it cannot do."""

import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uploads

from experiments.cli import commands
from experiments.runs import journal
from experiments.runs.journal import Journal
from experiments.tracking import positions

pytestmark = pytest.mark.process


def damaged(run: Path, text: bytes) -> None:
    """Put bytes at the end of a run's journal."""
    with (run / journal.FILE).open("ab") as file:
        file.write(text)


def test_a_run_is_uploaded_once_to_any_store(tmp_path: Path, store: Path, made_store: Path) -> None:
    run, log = tmp_path / "runs" / "one", tmp_path / "log"
    uploads.write_run(run, steps=1040)
    first = uploads.sync(run, "--uri", f"sqlite:///{store}", log=log)
    assert first == uploads.Done(0, f"uploaded {run}: 1,040 metrics, 2 artifacts\n", "")
    before = store.read_bytes()
    again = uploads.sync(run, "--uri", f"sqlite:///{store}", log=log)
    assert again == uploads.Done(0, f"already uploaded {run}\n", "")
    assert store.read_bytes() == before

    (run / "upload.json").unlink()  # the position is lost: everything is sent again
    assert uploads.sync(run, "--uri", f"sqlite:///{store}", log=log).status == 0
    assert uploads.rows(store, run) == uploads.expected(run)
    assert uploads.statuses(store) == {"one": "FINISHED"}

    # Another store, by the environment, and a position that speaks of a run which it has not.
    other = Path(shutil.copyfile(made_store, tmp_path / "other.db"))
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{other}"}
    known = (run / "upload.json").read_text().replace(str(store), str(other))
    (run / "upload.json").write_text(known)
    moved = uploads.sync(log=log, cwd=tmp_path, env=env)
    assert moved.out == "uploaded runs/one: 1,040 metrics, 2 artifacts\n", moved.err
    assert uploads.rows(other, run) == uploads.expected(run)


def test_a_damaged_journal_is_uploaded_as_far_as_it_is_whole(tmp_path: Path, store: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("cut", "flipped", "headless", "whole"):
        uploads.write_run(runs / name)
    uploads.write_run(runs / "torn", end=None).close()
    (runs / "empty").mkdir()
    (runs / "empty" / journal.FILE).touch()
    damaged(runs / "torn", b"0123abcd {" + b"x" * 47)
    damaged(runs / "cut", b"0123abcd {}\n" + b"y" * 20)
    for name, at in (("flipped", -80), ("headless", 60)):
        content = bytearray((runs / name / journal.FILE).read_bytes())
        content[at] ^= 1
        (runs / name / journal.FILE).write_bytes(content)

    done = uploads.sync(runs, "--uri", f"sqlite:///{store}", log=tmp_path / "log")
    assert done.status == 4, done
    lines = done.out.splitlines()
    assert f"uploaded {runs}/whole: 40 metrics, 2 artifacts" in lines
    (torn,) = (line for line in lines if "torn" in line)
    assert "3 events read, 57 bytes after them are damaged and left out" in torn
    assert "runs/torn" not in done.err  # a line that was being written when the process died
    for name, events in (("cut", 4), ("flipped", 2), ("headless", 0)):
        (line,) = (line for line in done.err.splitlines() if f"runs/{name}" in line)
        assert f"{events} events read" in line or name == "headless", line
    assert f"nothing to upload where no run began: {runs}/empty" in lines
    assert "runs/headless" not in done.out
    assert "Traceback" not in done.err
    assert uploads.statuses(store) == {
        "whole": "FINISHED", "cut": "FINISHED", "torn": "KILLED", "flipped": "KILLED",
    }  # fmt: skip


def test_runs_that_never_began_are_told_in_one_line_and_hold_nothing_up(
    tmp_path: Path, store: Path
) -> None:
    runs, uri, log = tmp_path / "sweep", f"sqlite:///{store}", tmp_path / "log"
    uploads.write_run(runs)
    for number in range(5):
        (runs / str(number)).mkdir()
        (runs / str(number) / journal.FILE).write_text("" if number else "0123abcd {")
    for attempt in ("uploaded", "already uploaded"):
        done = uploads.sync(runs, "--uri", uri, log=log)
        assert (done.status, done.err) == (0, "")
        empty, whole = done.out.splitlines()
        names = ", ".join(f"{runs}/{number}" for number in range(3))
        assert empty == f"nothing to upload where no run began: {names} and 2 more"
        assert whole.startswith(f"{attempt} {runs}")
    # The command's own uploader is as quick, and the next command's has nothing to repair.
    (runs / "upload.json").unlink()
    for name in ("sweep", "sweep/1"):
        process = uploads.started(uploads.follow, str(tmp_path / name), uri, log=log)
        followed = uploads.finished(process, log, timeout=30)
        assert (followed.status, followed.err) == (0, "")
        assert followed.out.splitlines()[-1] == "done"
    assert not list(runs.rglob("uploader.log"))


def test_what_mlflow_refuses_is_left_out_alone(tmp_path: Path, store: Path) -> None:
    run, other, log = tmp_path / "runs" / "bad", tmp_path / "runs" / "good", tmp_path / "log"
    (tmp_path / "canary").write_text("do not upload")
    tracker = uploads.write_run(run, end=None)
    tracker.metrics(41, {"bad\nname": 1.0, "fine": 2.0})
    tracker.add("tags", values={"x" * 300: "long", "kept": "tag"})
    for path in ("../../canary", str(tmp_path / "canary"), "gone.txt"):
        tracker.artifact(path)
    (run / "link.txt").symlink_to(tmp_path / "canary")
    tracker.artifact("link.txt")
    tracker.add("end", status="FINISHED")
    tracker.close()
    uploads.write_run(other)

    done = uploads.sync(tmp_path / "runs", "--uri", f"sqlite:///{store}", log=log)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert "MLflow refused 6" in done.err
    assert uploads.statuses(store) == {"bad": "FINISHED", "good": "FINISHED"}
    assert uploads.rows(store, run) == uploads.expected(run)
    assert uploads.rows(store, run, metric="fine") == [(41, 2.0)]
    assert ("kept", "tag") in uploads.select(store, "select key, value from tags")
    stored = [path for path in store.parent.rglob("*") if path.is_file() and path != store]
    assert not any(b"do not upload" in path.read_bytes() for path in stored)


def test_a_run_that_goes_on_goes_on_in_mlflow(tmp_path: Path, store: Path) -> None:
    run, log, uri = tmp_path / "runs" / "one", tmp_path / "log", f"sqlite:///{store}"
    uploads.write_run(run, steps=20, end="KILLED")
    uploads.sync(run, "--uri", uri, log=log)
    assert uploads.statuses(store) == {"one": "KILLED"}

    tracker = Journal(run, resume=True)
    tracker.add("resume", step=20)
    tracker.add("tags", values={"a": "c"})
    tracker.artifact("notes.txt")
    tracker.series(21, {"train/loss": [21.0, 22.0]})
    live = uploads.sync(run, "--uri", uri, log=log)
    assert live.out == (f"still running {run}: uploaded up to step 22: 2 metrics, 1 artifacts\n")
    assert uploads.statuses(store) == {"one": "RUNNING"}

    tracker.series(23, {"train/loss": [23.0]})
    tracker.add("end", status="FINISHED")
    tracker.close()
    uploads.sync(run, "--uri", uri, log=log)
    assert uploads.statuses(store) == {"one": "FINISHED"}
    assert uploads.rows(store, run) == uploads.expected(run)
    assert [step for step, _ in uploads.rows(store, run)] == list(range(1, 24))


def test_a_sweep_and_its_jobs_find_each_other_in_any_order(tmp_path: Path, store: Path) -> None:
    sweep, uri, log = tmp_path / "runs" / "sweep", f"sqlite:///{store}", tmp_path / "log"
    parent = f"id-{sweep.parent.name}-{sweep.name}"
    uploads.write_run(sweep)
    for job in ("0", "1"):
        uploads.write_run(sweep / job, parent=parent)
    for folder in (sweep / "0", sweep):  # a job, then the sweep with its other job
        assert uploads.sync(folder, "--uri", uri, log=log).status == 0
    query = "select run_uuid from runs where name = 'sweep'"
    found = uploads.select(store, "select value from tags where key = 'mlflow.parentRunId'")
    assert found == uploads.select(store, query) * 2


@pytest.mark.parametrize("last", ["job", "sweep"])
def test_a_sweep_and_its_job_are_joined_though_the_upload_dies_in_between(
    tmp_path: Path, store: Path, last: str
) -> None:
    sweep, uri, log = tmp_path / "sweep", f"sqlite:///{store}", tmp_path / "log"
    job = tmp_path / "job"
    uploads.write_run(sweep)
    uploads.write_run(job, parent=f"id-{tmp_path.name}-sweep")
    first, second = (sweep, job) if last == "job" else (job, sweep)
    assert uploads.sync(first, "--uri", uri, log=log).status == 0
    arguments = ["sync", str(second), "--uri", uri]
    dying = uploads.started(uploads.command_that_dies, arguments, "/", log=log)
    assert uploads.finished(dying, log).status == 137
    assert len(uploads.select(store, "select * from runs")) == 2  # it was made, and not joined
    assert uploads.sync(second, "--uri", uri, log=log).status == 0
    found = uploads.select(store, "select value from tags where key = 'mlflow.parentRunId'")
    assert found == uploads.select(store, "select run_uuid from runs where name = 'sweep'")


@pytest.mark.whole
def test_sync_takes_over_from_an_uploader_whose_server_is_dead(tmp_path: Path, store: Path) -> None:
    sweep, uri, log = tmp_path / "a sweep", f"sqlite:///{store}", tmp_path / "log"
    uploads.write_run(sweep)
    for number in range(5):
        parent = f"id-{sweep.parent.name}-{sweep.name}"
        uploads.write_run(sweep / str(number), parent=parent)
    dead = "http://127.0.0.1:9"
    uploader = uploads.started(uploads.follow, str(sweep), dead, log=tmp_path / "uploader")
    try:
        assert uploads.eventually((sweep / "uploader.log").exists)
        begun = time.monotonic()
        same = uploads.sync(sweep, "--uri", dead, log=log)
        assert same.status == 1
        assert "does not answer" in same.err
        done = uploads.sync(sweep, "--uri", uri, log=log)
        assert (done.status, done.err) == (0, "")
        assert time.monotonic() - begun < 30
        assert uploader.exitcode is None  # it still tries
    finally:
        uploader.kill()
    assert len(uploads.statuses(store)) == 6
    found = uploads.select(store, "select value from tags where key = 'mlflow.parentRunId'")
    assert found == uploads.select(store, "select run_uuid from runs where name = 'a sweep'") * 5


def test_what_another_process_does_not_give_free_is_an_error(tmp_path: Path, store: Path) -> None:
    run, uri, log = tmp_path / "run", f"sqlite:///{store}", tmp_path / "log"
    uploads.write_run(run)
    with positions.claim(run, uri):
        arguments = ["sync", str(run), "--uri", uri]
        process = uploads.started(uploads.impatient_command, arguments, "/", log=log)
        done = uploads.finished(process, log)
        assert done.status == 1
        assert done.out == f"waiting for another process, which is uploading {run}\n"
        assert done.err.startswith(f"error: {run}: Another process is uploading it")
        other = shutil.copyfile(store, tmp_path / "other.db")
        assert uploads.sync(run, "--uri", f"sqlite:///{other}", log=log).status == 0
    assert uploads.sync(run, "--uri", uri, log=log).status == 0


def test_several_syncs_at_once(
    tmp_path: Path, store: Path, rounds: Callable[[int, int], int]
) -> None:
    for attempt in range(rounds(5, 1)):
        runs = tmp_path / str(attempt)
        for name in ("a", "b", "c", "d"):
            uploads.write_run(runs / name, steps=500)
        arguments = ["sync", str(runs), "--uri", f"sqlite:///{store}"]
        logs = [tmp_path / f"log{number}" for number in range(3)]
        together = [uploads.started(uploads.command, arguments, "/", log=log) for log in logs]
        done = [uploads.finished(process, log) for process, log in zip(together, logs, strict=True)]
        assert [one.status for one in done] == [0, 0, 0], done
        lines = [line for one in done for line in one.out.splitlines()]
        assert len(lines) == 12
        assert sum(line.startswith("uploaded") for line in lines) == 4
        for name in ("a", "b", "c", "d"):
            assert uploads.rows(store, runs / name) == uploads.expected(runs / name)
    count = 4 * rounds(5, 1)
    assert uploads.select(store, "select status, count(*) from runs group by status") == [
        ("FINISHED", count)
    ]


def test_a_sync_that_is_killed_is_finished_by_the_next(
    tmp_path: Path, store: Path, rounds: Callable[[int, int], int]
) -> None:
    runs, log = tmp_path / "runs", tmp_path / "log"
    names = [str(number) for number in range(rounds(12, 3))]
    for name in names:
        uploads.write_run(runs / name, steps=1500, names=("train/loss", "other"))
    arguments = ["sync", str(runs), "--uri", f"sqlite:///{store}"]
    chance = random.Random(0)
    for _ in names:
        process = uploads.started(uploads.command, arguments, "/", log=log)
        time.sleep(0.4 + 2 * chance.random())
        process.kill()
        process.join()
    assert uploads.sync(*arguments[1:], log=log).status == 0
    assert uploads.statuses(store) == dict.fromkeys(names, "FINISHED")
    for name in names:
        for metric in ("train/loss", "other"):
            found = uploads.rows(store, runs / name, metric=metric)
            assert found == uploads.expected(runs / name, metric=metric)


def test_stores_that_will_not_do(tmp_path: Path, store: Path) -> None:
    run, log = tmp_path / "runs" / "one", tmp_path / "log"
    uploads.write_run(run)
    connection = sqlite3.connect(store)
    connection.execute("update alembic_version set version_num = 'ffffffffffff'")
    connection.commit()
    connection.close()
    newer = uploads.sync(run, "--uri", f"sqlite:///{store}", log=log)
    assert newer.status == 2
    assert newer.err.startswith(f"error: The store sqlite:///{store} was made by a newer MLflow")
    assert len(newer.err.splitlines()) == 1
    follower = uploads.started(uploads.follow, str(run), f"sqlite:///{store}", log=log)
    followed = uploads.finished(follower, log)
    assert (followed.status, followed.err) == (1, "")
    assert f"obstacle The store sqlite:///{store} was made by a newer MLflow" in followed.out
    store.write_bytes(b"this is no database" * 100)
    broken = uploads.sync(run, "--uri", f"sqlite:///{store}", log=log)
    assert broken.status == 4
    assert broken.err == f"error: The store {store} is damaged: file is not a database.\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rums"], "There is no folder rums; did you mean 'runs'?"),
        (["runs/one/deep"], "is no run and has none below"),
        (["runs", "--uri", "http://:5000"], "host or port"),
        (["runs", "--uri", "http://host:port"], "host or port"),
        (["runs", "--uri", "sqlite:///"], "names no file"),
        (["runs", "--uri", "mlruns"], "it begins as none does"),
        (["runs", "--uri", "ftp://host"], "it begins as none does"),
        (["runs", "--uri", "http://me:pass word@host"], "it holds a blank"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    uploads.write_run(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "one" / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert commands.command(["sync", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert told in err
    assert "pass word" not in err
    assert len(err.splitlines()) == 1


def test_a_store_that_is_read_only_or_full(
    tmp_path: Path, store: Path, mounted: Callable[[str], Path]
) -> None:
    run, log = tmp_path / "runs" / "one", tmp_path / "log"
    uploads.write_run(run, steps=3000)
    small = mounted("size=1100k")
    shutil.copyfile(store, small / "mlflow.db")
    full = uploads.sync(run, "--uri", f"sqlite:///{small}/mlflow.db", log=log)
    assert full.status == 5, full
    assert len(full.err.splitlines()) == 1
    fixed = mounted("ro")
    made = uploads.sync(run, "--uri", f"sqlite:///{fixed}/mlflow.db", log=log)
    assert made.status == 5, made
    assert len(made.err.splitlines()) == 1
    assert uploads.sync(run, "--uri", f"sqlite:///{store}", log=log).status == 0
    assert uploads.rows(store, run)[-1] == (3000, 3000.0)


@pytest.mark.whole
def test_a_million_points_are_few_in_the_store_and_all_in_the_journal(
    tmp_path: Path, store: Path
) -> None:
    run, log = tmp_path / "runs" / "long", tmp_path / "log"
    uploads.write_run(run, steps=1_000_000)
    before, begun = store.stat().st_size, time.monotonic()
    done = uploads.sync(run, "--uri", f"sqlite:///{store}", log=log)
    seconds, size = time.monotonic() - begun, store.stat().st_size - before
    found = uploads.rows(store, run)
    print(f"{seconds:.1f} s, {len(found):,} rows, {size / 1e6:.1f} MB in the store")
    assert done.out == f"uploaded {run}: {len(found):,} of 1,000,000 metrics, 2 artifacts\n"
    assert 10_000 <= len(found) <= 13_500
    assert found[:2500] == [(step, float(step)) for step in range(1, 2501)]
    assert found[-1] == (1_000_000, 1_000_000.0)
    assert all(value == step for step, value in found)
    (artifact,) = store.parent.rglob(journal.FILE)
    assert artifact.read_bytes() == (run / journal.FILE).read_bytes()
    assert seconds < 60
