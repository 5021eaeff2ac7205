"""A checkout that was moved or copied: its store goes on with the artifacts that lie beside it."""

import shutil
from pathlib import Path

import pytest
import uploads

from experiments.runs.journal import Journal

pytestmark = pytest.mark.process

PLACES = (
    *("artifact_location from experiments where experiment_id > 0", "artifact_uri from runs"),
    "artifact_location from logged_models",
)


@pytest.fixture
def checkout(tmp_path: Path, made_store: Path) -> Path:
    """Return a checkout, with a blank in its name, whose run is in its store."""
    folder = tmp_path / "old place"
    folder.mkdir()
    shutil.copyfile(made_store, folder / "mlflow.db")
    uploads.write_run(folder / "runs" / "one", steps=20)
    done = sync(folder)
    assert (done.status, done.err) == (0, "")
    with uploads.connected(folder / "mlflow.db") as connection:
        connection.execute(
            "insert into logged_models (model_id, experiment_id, name, artifact_location, "
            "creation_timestamp_ms, last_updated_timestamp_ms, status) "
            "select 'm', 1, 'model', artifact_location || '/models/m', 1, 1, 2 "
            "from experiments where experiment_id = 1"
        )
    return folder


def sync(checkout: Path) -> uploads.Done:
    return uploads.sync("runs", log=checkout.parent / "log", cwd=checkout)


def places(checkout: Path) -> list[str]:
    """Return all addresses of artifacts that a store has."""
    store = checkout / "mlflow.db"
    return [row[0] for what in PLACES for row in uploads.select(store, f"select {what}")]


def go_on(checkout: Path) -> None:
    """Let the run go on, with another artifact."""
    tracker = Journal(checkout / "runs" / "one", resume=True)
    tracker.add("resume", step=20)
    (checkout / "runs" / "one" / "late.txt").write_text("late")
    tracker.artifact("late.txt")
    tracker.add("end", status="FINISHED")
    tracker.close()


def test_a_checkout_that_was_moved(checkout: Path) -> None:
    new = checkout.rename(checkout.parent / "new%20place?")
    go_on(new)
    done = sync(new)
    assert (done.status, done.err) == (0, "")
    told, uploaded = done.out.splitlines()
    assert told == (
        f"The store {new}/mlflow.db was moved; its artifacts are now looked for in "
        f"{new}/mlartifacts, not {checkout}/mlartifacts."
    )
    assert uploaded.startswith("uploaded runs/one")
    root = (new / "mlartifacts").as_uri()
    assert [place.startswith(f"{root}/faults") for place in places(new)] == [True] * 3
    assert len(list(new.rglob("artifacts/late.txt"))) == 1
    assert len(list(new.rglob("artifacts/notes.txt"))) == 1
    assert not checkout.exists()
    assert sync(new).out == "already uploaded runs/one\n"


def test_a_command_tells_of_it_too(checkout: Path) -> None:
    new = checkout.rename(checkout.parent / "new")
    run, log = new / "runs" / "two", new.parent / "log"
    uploads.write_run(run, steps=20)
    process = uploads.started(uploads.follow, str(run), f"sqlite:///{new}/mlflow.db", log=log)
    done = uploads.finished(process, log)
    assert done.status == 0
    assert f"notice The store {new}/mlflow.db was moved" in done.out
    assert not checkout.exists()


def test_a_copy_has_artifacts_of_its_own(checkout: Path) -> None:
    copy, before = checkout.parent / "copy", places(checkout)
    shutil.copytree(checkout, copy)
    go_on(copy)
    assert sync(copy).out.startswith(f"The store {copy}/mlflow.db was moved; ")
    assert places(checkout) == before
    assert not list(checkout.rglob("late.txt"))
    assert len(list(copy.rglob("artifacts/late.txt"))) == 1


def test_a_store_without_its_artifacts(checkout: Path) -> None:
    new = checkout.parent / "new"
    new.mkdir()
    (checkout / "mlflow.db").rename(new / "mlflow.db")
    (checkout / "runs").rename(new / "runs")
    go_on(new)
    before = places(new)
    assert sync(new).status == 0  # the artifacts stay where they are
    assert places(new) == before

    shutil.rmtree(checkout)
    done = sync(new)
    assert done.status == 2
    assert done.err.startswith(f"error: The store {new}/mlflow.db was moved without its artifacts")
    assert len(done.err.splitlines()) == 1
    assert not checkout.exists()
    (new / "mlartifacts").mkdir()  # as the line says
    assert sync(new).status == 0
    assert places(new) != before
