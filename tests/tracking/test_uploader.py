"""The uploader: everything arrives in MLflow, once however often it is sent."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import programs
import pytest
import uploads

from experiments.runs import journal
from experiments.tracking.launch import Uploader
from experiments.tracking.pipes import Link

QUIET = {**os.environ, "PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "true"}
OWN_MODEL = """
import torch
from experiments import Model, Network, register

@register("plain")
class Plain(Model):
    '''One affine layer.'''

    def build(self, spec):
        weights = (torch.randn(spec.features, spec.outputs) * 0.1).requires_grad_()
        return Network({"weights": weights}, self.forward)

    def forward(self, params, inputs):
        return inputs.flatten(1) @ params["weights"]
"""
PREDICT = """
import sys
import mlflow, numpy as np, torch
from pathlib import Path
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(f"models:/{sys.argv[2]}")
items = np.arange(3 * 64, dtype=np.float32).reshape(3, 1, 8, 8) % 17
found = model.predict(items)
from experiments.runs.predictor import predictor
expected = predictor(Path(sys.argv[3]))(torch.from_numpy(items)).numpy()
np.testing.assert_array_equal(found, expected)
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a sweep of two jobs that stay in their folder."""
    folder = tmp_path_factory.mktemp("offline")
    command = ["-m", "optimizer.lr=0.1,0.2", "epochs=2", "device=cpu", "tracking.model=true"]
    wanted = ["tracking=offline", "tracking.figures=false", f"output={folder / 'runs'}"]
    done = programs.run(*command, *wanted, log=folder / "log")
    assert done.status == 0, done.err
    (sweep,) = (folder / "runs").iterdir()
    return sweep


def upload(folder: Path, store: Path) -> str:
    command = [sys.executable, "-m", "experiments.cli.commands", "sync", str(folder)]
    command += ["--uri", f"sqlite:///{store}"]
    done = subprocess.run(command, check=True, env=QUIET, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def select(store: Path, query: str) -> Sequence[tuple[Any, ...]]:
    with sqlite3.connect(store) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return rows


@pytest.fixture(scope="module")
def store(offline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upload the sweep twice into a new store."""
    folder = tmp_path_factory.mktemp("store")
    for log in ("first", "second"):
        done = uploads.sync(offline, "--uri", f"sqlite:///{folder}/mlflow.db", log=folder / log)
        assert (done.status, done.err) == (0, "")
        for position in offline.rglob("upload.json"):
            position.unlink()
    return folder / "mlflow.db"


@pytest.mark.parametrize(
    ("words", "status"),
    [([b"\n", b"FINISHED"], "FINISHED"), ([b"\n"], None), ([b"KILLED"], "KILLED")],
)
def test_the_uploader_hears_when_nothing_is_trained_any_more_and_how_it_ended(
    words: list[bytes], status: str | None
) -> None:
    source, end = os.pipe()
    command = Link(source, os.open(os.devnull, os.O_WRONLY))
    assert not command.waits.is_set()
    for word in words:
        os.write(end, word)
        assert command.waits.wait(10)
        assert not command.closed.is_set()
    os.close(end)
    assert command.closed.wait(10)
    assert command.status == status


@pytest.mark.process
def test_each_run_is_there_once_and_ended(store: Path) -> None:
    statuses = select(store, "select status from runs")
    assert statuses == [("FINISHED",)] * 3


@pytest.mark.process
def test_every_step_is_there_once(store: Path, offline: Path) -> None:
    for job in ("0", "1"):
        expected = sum(
            len(event["values"]["train/loss"])
            for event, _ in journal.read(offline / job / journal.FILE)
            if event["event"] == "series"
        )
        own = next(journal.read(offline / job / journal.FILE))[0]["run_id"]
        found = select(
            store,
            "select count(*), count(distinct step) from metrics join tags using (run_uuid) "
            f"where metrics.key = 'train/loss' and tags.value = '{own}'",
        )
        assert found == [(expected, expected)]


@pytest.mark.process
def test_children_name_their_parent(store: Path) -> None:
    parents = select(store, "select distinct value from tags where key = 'mlflow.parentRunId'")
    names = select(store, f"select name from runs where run_uuid = '{parents[0][0]}'")
    assert len(parents) == 1
    assert names[0][0].startswith("sweep -m") or names[0][0].startswith("sweep optimizer.lr")


@pytest.mark.process
def test_settings_data_and_description_are_there(store: Path) -> None:
    params = dict(select(store, "select distinct key, value from params"))
    assert params["model"] == "linear"
    assert params["optimizer"] == "sgd"
    assert {"optimizer.lr", "seed", "batch_size", "dataset"} <= params.keys()
    tags = {key for (key,) in select(store, "select distinct key from tags")}
    assert {"mlflow.note.content", "command", "device", "version.torch"} <= tags
    assert select(store, "select name from datasets") == [("digits",)]
    commands = [value for (value,) in select(store, "select value from tags where key = 'command'")]
    assert any(command.startswith("python run.py -m optimizer.lr=0.1,0.2") for command in commands)


@pytest.mark.process
def test_the_logged_model_predicts_as_the_checkpoint(
    store: Path, offline: Path, tmp_path: Path
) -> None:
    models = select(store, "select model_id from logged_models")
    assert len(models) == 2
    own = next(journal.read(offline / "0" / journal.FILE))[0]["run_id"]
    (model,) = select(
        store,
        "select model_id from logged_models join tags on source_run_id = run_uuid "
        f"where tags.value = '{own}'",
    )
    best = offline / "0" / "checkpoints" / "best.safetensors"
    log, wanted = tmp_path / "log", [f"sqlite:///{store}", model[0], str(best)]
    done = uploads.finished(uploads.started(uploads.execute, PREDICT, wanted, log=log), log)
    assert done.status == 0, done.err


@pytest.mark.process
def test_data_and_artifacts_are_there_once(store: Path, offline: Path) -> None:
    inputs = select(store, "select source_type, count(*) from inputs group by source_type")
    assert dict(inputs) == {"DATASET": 2, "RUN_OUTPUT": 2}
    journals = {path.read_bytes() for path in store.parent.rglob(f"artifacts/{journal.FILE}")}
    runs = (offline, offline / "0", offline / "1")
    assert journals == {(run / journal.FILE).read_bytes() for run in runs}


@pytest.mark.process
@pytest.mark.whole
def test_a_run_s_folder_is_all_that_another_machine_needs(tmp_path: Path) -> None:
    plugins, store = tmp_path / "plugins", tmp_path / "mlflow.db"
    plugins.mkdir()
    (plugins / "plain.py").write_text(OWN_MODEL)
    wanted = ["model=plain", f"plugin_path=[{plugins}]", "epochs=1", "device=cpu"]
    kept = ["tracking=offline", "tracking.figures=false", f"output={tmp_path / 'runs'}"]
    trained = programs.run(*wanted, *kept, log=tmp_path / "log")
    assert trained.status == 0, trained.err
    (made,) = (tmp_path / "runs").iterdir()
    run = made.rename(tmp_path / "arrived")
    shutil.rmtree(plugins)
    uploaded = upload(run, store)
    assert uploaded.startswith(f"uploaded {run}: ")
    shutil.rmtree(run)  # the store needs no folder either
    ((model,),) = select(store, "select model_id from logged_models")
    best = next(store.parent.rglob("artifacts/checkpoints/best.safetensors"))
    load = [sys.executable, "-c", PREDICT, f"sqlite:///{store}", model, str(best)]
    done = subprocess.run(
        load, env=QUIET, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_a_store_that_will_not_do_is_told_of_at_the_end(tmp_path: Path) -> None:
    run, store = tmp_path / "run", tmp_path / "mlflow.db"
    run.mkdir()
    store.write_bytes(b"no database" * 100)
    uploader = Uploader(run, f"sqlite:///{store}", patience=60)
    tracker = journal.Journal(run)
    tracker.add("start", run_id="a")
    log = run / "uploader.log"
    end = time.monotonic() + 60
    while not log.exists() and time.monotonic() < end:  # it has met the store
        time.sleep(0.1)
    tracker.close()
    assert not uploader.finish("FINISHED")
    told = uploader.closing_lines(complete=False)
    assert "is damaged: file is not a database" in told[0]
    assert told[1] == "To finish it later:"


@pytest.mark.process
def test_the_uploader_ends_with_the_command_and_lists_what_is_refused(tmp_path: Path) -> None:
    run, store = tmp_path / "run", f"sqlite:///{tmp_path / 'mlflow.db'}"
    run.mkdir()
    uploader = Uploader(run, store, patience=60)
    tracker = journal.Journal(run)
    tracker.add(
        "start", run_id="a", parent_id=None, experiment="e", name="n", overrides=[],
        tags={"x" * 300: "long"}, params={}, config={},
    )  # fmt: skip
    tracker.metrics(1, {"val/loss": float("nan"), "train/loss": 0.5})
    tracker.close()  # the disk is full: there is no end
    assert uploader.finish("FAILED")
    lines = uploader.closing_lines(complete=True)
    assert lines[0].startswith("refused  tag xxx")
    assert lines[1].startswith("review   ")
    assert lines[2].startswith("page     http://127.0.0.1:5000/#/experiments/1/runs/")
    assert select(tmp_path / "mlflow.db", "select status from runs") == [("FAILED",)]
    rows = select(tmp_path / "mlflow.db", "select key, value, is_nan from metrics order by key")
    assert rows == [("train/loss", 0.5, 0), ("val/loss", 0.0, 1)]
