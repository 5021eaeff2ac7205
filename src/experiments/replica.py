"""One run in MLflow, made of its journal."""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from experiments import journal
from experiments.journal import Event
from experiments.tracking import UPLOAD

RUN_ID = "experiments.run_id"  # the tag that holds our id of a run
_METRICS, _PARAMS, _TAGS = 1000, 100, 100  # the most that MLflow takes in one call
_LONGEST = 6000  # characters of a parameter, which MLflow cuts without a word
_PACKAGES = ("torch", "torchvision", "omegaconf", "safetensors", "numpy")


class Replica:
    """Sends a journal's events to MLflow, each at least once, to the same effect as once."""

    def __init__(self, client: MlflowClient, folder: Path) -> None:
        self._client, self._folder = client, folder
        self._offset = 0
        self._run = self._experiment = ""
        self._ended = False

    def catch_up(self) -> None:
        """Send what the journal has and MLflow has not; raise where MLflow does not take it."""
        if self._ended:
            return
        before, reached = self._offset, self._offset
        metrics: list[Metric] = []
        for event, reached in journal.read(self._folder / journal.FILE, before):
            if event["event"] in ("metrics", "series"):
                metrics += _points(event)
                continue
            self._send(metrics)
            metrics = []
            self._take(event)
            self._offset = reached
        self._send(metrics)
        self._offset = reached
        if reached > before:
            self._note()

    def close(self, status: str) -> None:
        """End the run in MLflow if its journal has not."""
        if self._run and not self._ended:
            self._client.set_terminated(self._run, status)
            self._ended = True

    def _take(self, event: Event) -> None:
        match event["event"]:
            case "start":
                self._start(event)
            case "tags":
                self._tag(event["values"])
            case "dataset":
                self._add_dataset(event)
            case "artifact":
                path = self._folder / event["path"]
                self._client.log_artifact(self._run, str(path), event["folder"] or None)
            case "model":
                self._add_model(event)
            case "end":
                self._client.set_terminated(self._run, event["status"], event["time"])
                self._ended = True

    def _start(self, event: Event) -> None:
        self._experiment = _experiment(self._client, event["experiment"])
        run = self._find(event["run_id"]) or self._create(event)
        self._run = run
        for params in _groups(event["params"], _PARAMS):
            entities = [Param(name, str(value)[:_LONGEST]) for name, value in params.items()]
            self._client.log_batch(run, params=entities)
        self._tag(event["tags"])

    def _create(self, event: Event) -> str:
        tags = {RUN_ID: event["run_id"]}
        if event["parent_id"] and (parent := self._find(event["parent_id"])):
            tags["mlflow.parentRunId"] = parent
        created = self._client.create_run(
            self._experiment, start_time=event["time"], tags=tags, run_name=event["name"]
        )
        return str(created.info.run_id)

    def _find(self, run_id: str) -> str | None:
        found = self._client.search_runs([self._experiment], f"tags.`{RUN_ID}` = '{run_id}'")
        return str(found[0].info.run_id) if found else None

    def _tag(self, values: dict[str, str]) -> None:
        for tags in _groups(values, _TAGS):
            entities = [RunTag(name, text) for name, text in tags.items()]
            self._client.log_batch(self._run, tags=entities)

    def _send(self, metrics: list[Metric]) -> None:
        for part in range(0, len(metrics), _METRICS):
            self._client.log_batch(self._run, metrics=metrics[part : part + _METRICS])

    def _add_dataset(self, event: Event) -> None:
        dataset = Dataset(
            name=event["name"],
            digest=event["digest"],
            source_type="local",
            source=json.dumps({"uri": event["source"]}),
            profile=event["profile"],
        )
        tag = InputTag("mlflow.data.context", event["context"])
        self._client.log_inputs(self._run, [DatasetInput(dataset, [tag])])

    def _add_model(self, event: Event) -> None:
        """Log the checkpoint with the code that makes a model of it."""
        if self._client.get_run(self._run).outputs.model_outputs:
            return
        inputs = TensorSpec(np.dtype("float32"), (-1, *event["input_shape"]))
        outputs = TensorSpec(np.dtype("float32"), (-1, event["outputs"]))
        with tempfile.TemporaryDirectory() as scratch:
            Model.log(
                artifact_path=None,
                name="model",
                flavor=mlflow.pyfunc,
                run_id=self._run,
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"checkpoint": str(self._folder / event["path"])},
                signature=ModelSignature(inputs=Schema([inputs]), outputs=Schema([outputs])),
                code_paths=[str(Path(__file__).parent), _code(event, Path(scratch))],
                pip_requirements=[f"{name}=={version(name)}" for name in _PACKAGES],
            )

    def _note(self) -> None:
        """Say in the run's folder how far its upload has come, and where to."""
        facts = {
            "experiment_id": self._experiment,
            "mlflow_run_id": self._run,
            "offset": self._offset,
            "ended": self._ended,
        }
        part = self._folder / f"{UPLOAD}.part"
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.replace(self._folder / UPLOAD)


def open_store(uri: str) -> None:
    """Make a new sqlite store whole or not at all, one process at a time; leave others alone."""
    if not uri.startswith("sqlite:///"):
        return
    path = _sqlite_file(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = path.with_name(f"{path.name}.part")
            part.unlink(missing_ok=True)
            MlflowClient(f"sqlite:///{part}").search_experiments()
            part.replace(path)


def _experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, which is made where it does not exist."""
    found = client.get_experiment_by_name(name)
    if found is None:
        uri = client.tracking_uri
        beside = _sqlite_file(uri).resolve().parent if uri.startswith("sqlite:///") else None
        place = (beside / "mlartifacts" / name).as_uri() if beside else None
        try:
            return str(client.create_experiment(name, artifact_location=place))
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _sqlite_file(uri: str) -> Path:
    return Path(uri.removeprefix("sqlite:///"))


def _points(event: Event) -> Iterator[Metric]:
    """Give each number of an event that holds metrics."""
    for name, values in event["values"].items():
        if event["event"] == "metrics":
            yield Metric(name, values, event["time"], event["step"])
            continue
        for step, value in enumerate(values, start=event["first"]):
            yield Metric(name, value, event["time"], step)


def _groups(values: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    names = list(values)
    for start in range(0, len(names), size):
        yield {name: values[name] for name in names[start : start + size]}


def _code(event: Event, scratch: Path) -> str:
    """Return the file or folder that makes the model's module importable by its name."""
    module, source = event["module"], Path(event["source"])
    if "." in module:
        return str(source.parents[module.count(".") - 1])
    # A file found by `plugin_path` has a module name of its own.
    return str(shutil.copy(source, scratch / f"{module}.py"))
