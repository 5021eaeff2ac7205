"""One run in MLflow, made of its journal."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from experiments.errors import DataError
from experiments.process.secrecy import clean
from experiments.runs import journal
from experiments.runs.journal import Event
from experiments.tracking import model, positions
from experiments.tracking.client import Client
from experiments.tracking.decimation import DENSE, OF_MANY
from experiments.tracking.positions import Position
from experiments.tracking.store import RefusedError, experiment, is_lasting, patient

RUN_ID = "experiments.run_id"  # the tag that holds our id of a run
_PARENT_ID = "experiments.parent_id"
_PARENT = "mlflow.parentRunId"
_METRICS, _PARAMS, _TAGS = 1000, 100, 100  # the most that MLflow takes in one call
_ALONE = ("model", "end")  # events not sent together with others
_LONGEST = 6000  # characters of a parameter, which MLflow cuts without a word
log = logging.getLogger(__name__)


class Replica:
    """Sends a journal's events to MLflow, each at least once, to the same effect as once.

    `position` tells what MLflow has taken; of the `points` met it sent `metrics`, and `artifacts`.
    Raises RefusedError where the journal does not begin with a run's start.
    """

    def __init__(self, client: Client, folder: Path, store: str) -> None:
        self._client, self._folder, self._store = client, folder, store
        self.position = self._known() or Position()
        self.points = self.metrics = self.artifacts = 0
        self._ahead = self.position  # what `position` will be once MLflow has taken it
        self._keep()  # from now on the run is known to be meant for this store

    def advance(self) -> Iterator[None]:
        """Send what the journal has and MLflow has not, and yield whenever MLflow has taken some.

        Raises where MLflow takes nothing; what is refused for itself is left out and remembered.
        """
        try:
            yield from self._advance()
        finally:
            self._client.roll_back()  # what no position speaks of is sent again

    def _advance(self) -> Iterator[None]:
        self._ahead = self.position.copy()
        metrics: list[Metric] = []
        for event, reached in journal.read(self._folder / journal.FILE, self.position.offset):
            due = event["event"] in _ALONE
            if event["event"] in journal.NUMBERS:
                metrics += self._points(event)
                due = len(metrics) >= _METRICS
            else:
                if due:
                    self._send(metrics)
                    metrics = []
                self._take(event)
            self._ahead.time, self._ahead.offset = event["time"], reached
            if due:
                self._send(metrics)
                metrics = []
                self._commit()
                yield
        if self._ahead.offset > self.position.offset:
            self._send(metrics)
            self._commit()
            yield

    def close(self, status: str) -> None:
        """End the run in MLflow though its journal does not."""
        self._ahead = self.position.copy()
        self._end(status, self._ahead.time)
        self._commit()

    def _known(self) -> Position | None:
        """Return the run's position in the store, if the store still has the run."""
        position = positions.kept(self._folder, self._store)
        if position is None or not position.mlflow_run_id:
            return position
        if position.offset > (self._folder / journal.FILE).stat().st_size:
            return Position()  # the journal lost its end with the machine's power
        try:
            tags = self._client.get_run(position.mlflow_run_id).data.tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return Position()
            raise
        start, _ = next(journal.read(self._folder / journal.FILE), ({}, 0))
        return position if tags.get(RUN_ID) == start.get("run_id") else Position()

    def _commit(self) -> None:
        self._client.commit()
        self.position = self._ahead
        self._ahead = self.position.copy()
        self._keep()

    def _keep(self) -> None:
        try:
            positions.keep(self._folder, self._store, self.position)
        except OSError as error:  # full, or read only: sending again is no harm
            log.warning("%s keeps no position: %s", self._folder, error)

    def _take(self, event: Event) -> None:
        """Send an event that holds no numbers."""
        if (kind := event["event"]) == "start":
            self._start(event)
        if not self._ahead.mlflow_run_id:
            raise RefusedError(f"{journal.FILE} does not begin with the start of a run.")
        if self._ahead.ended:
            self._client.commit()
            self._client.update_run(self._ahead.mlflow_run_id, status="RUNNING")
            self._ahead.ended = False
        try:
            self._take_part(event)
        except Exception as error:
            if not is_lasting(error):
                raise
            self._refuse(f"{kind} {event.get('path', '')}".rstrip(), error)

    def _take_part(self, event: Event) -> None:
        match event["event"]:
            case "start":
                self._log(
                    "params", [Param(n, str(v)[:_LONGEST]) for n, v in event["params"].items()]
                )
                self._log("tags", [RunTag(name, text) for name, text in event["tags"].items()])
            case "tags":
                self._log("tags", [RunTag(name, text) for name, text in event["values"].items()])
            case "dataset":
                self._add_dataset(event)
            case "artifact":
                self._add_artifact(event["path"], event["folder"])
            case "model":
                self._client.commit()
                checkpoint, code = self._file(event["path"]), self._file(event["code"])
                run = self._ahead.mlflow_run_id
                model.add(self._client, run, event, checkpoint, code)
            case "end":
                self._end(event["status"], event["time"])

    def _start(self, event: Event) -> None:
        """Find the run, or make it; a lasting error here is the whole run's."""
        self._ahead.decimation.dense = OF_MANY if event["parent_id"] else DENSE
        try:
            self._ahead.experiment_id = experiment(self._client, event["experiment"])
            found = self._find(RUN_ID, event["run_id"])
            self._ahead.mlflow_run_id = found[0] if found else self._create(event)
        except Exception as error:
            if is_lasting(error):
                raise RefusedError(f"The store refuses the run: {error}") from error
            raise

    def _create(self, event: Event) -> str:
        tags = {RUN_ID: event["run_id"]}
        if event["parent_id"]:
            tags[_PARENT_ID] = event["parent_id"]
        run_id = self._client.add_run(self._ahead.experiment_id, event["time"], tags, event["name"])
        # Whichever of a sweep and its job comes last to the store joins them.
        for child in self._find(_PARENT_ID, event["run_id"]):
            self._client.log_batch(child, tags=[RunTag(_PARENT, run_id)])
        if event["parent_id"]:
            for parent in self._find(RUN_ID, event["parent_id"]):
                self._client.log_batch(run_id, tags=[RunTag(_PARENT, parent)])
        return run_id

    def _find(self, tag: str, value: str) -> list[str]:
        return self._client.find_runs(self._ahead.experiment_id, tag, value)

    def _points(self, event: Event) -> Iterator[Metric]:
        """Give the numbers of an event that are sent."""
        for name, step, value in journal.points(event):
            self.points += 1
            self._ahead.step = max(self._ahead.step, step)
            if self._ahead.decimation.takes((name, step, value, event["time"])):
                yield Metric(name, value, event["time"], step)

    def _send(self, metrics: Sequence[Metric]) -> None:
        if metrics and not self._ahead.mlflow_run_id:
            raise RefusedError(f"{journal.FILE} does not begin with the start of a run.")
        self._log("metrics", metrics)
        self.metrics += len(metrics)

    def _log(self, kind: str, items: Sequence[Any]) -> None:
        most = {"metrics": _METRICS, "params": _PARAMS, "tags": _TAGS}[kind]
        for start in range(0, len(items), most):
            self._log_batch(kind, items[start : start + most])

    def _log_batch(self, kind: str, items: Sequence[Any]) -> None:
        """Send items together; where MLflow refuses them, halve them to leave out the bad alone."""
        try:
            self._client.log_batch(self._ahead.mlflow_run_id, **{kind: items})
        except MlflowException as error:
            if not is_lasting(error):
                raise
            if len(items) == 1:
                self._refuse(f"{kind.removesuffix('s')} {items[0].key}", error)
                return
            half = len(items) // 2
            self._log_batch(kind, items[:half])
            self._log_batch(kind, items[half:])

    def _add_dataset(self, event: Event) -> None:
        dataset = Dataset(
            name=event["name"],
            digest=event["digest"],
            source_type="local",
            source=json.dumps({"uri": event["source"]}),
            profile=event["profile"],
        )
        tag = InputTag("mlflow.data.context", event["context"])
        self._client.log_inputs(self._ahead.mlflow_run_id, [DatasetInput(dataset, [tag])])

    def _add_artifact(self, path: str, folder: str = "") -> None:
        with patient():
            run = self._ahead.mlflow_run_id
            self._client.log_artifact(run, str(self._file(path)), folder or None)
        self.artifacts += 1

    def _end(self, status: str, time: int) -> None:
        """Send what stays to be sent until there is more, and end the run."""
        last = [Metric(name, v, at, step) for name, step, v, at in self._ahead.decimation.last()]
        self._send(last)
        self._ahead.decimation.left_out.clear()
        self._add_artifact(journal.FILE)
        self._client.set_terminated(self._ahead.mlflow_run_id, status, time)
        self._ahead.ended = True

    def _file(self, name: str) -> Path:
        """Return what a journal names, which has to lie in the run's folder."""
        path, folder = (self._folder / name).resolve(), self._folder.resolve()
        if not path.is_relative_to(folder):
            raise DataError(f"{name} lies outside the run's folder.")
        if not path.exists():
            raise DataError(f"{name} is not there.")
        return path

    def _refuse(self, what: str, error: Exception) -> None:
        reason = clean(" ".join(str(error).split())[:300])
        log.warning("%s: %s is left out: %s", self._folder, what, reason)
        self._ahead.refuse(f"{what}: {reason}")
