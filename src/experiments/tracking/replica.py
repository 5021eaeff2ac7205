"""One run in MLflow, made of its journal."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

from experiments.errors import DataError
from experiments.process.secrecy import clean
from experiments.runs import enclosure, journal
from experiments.runs.events import Event
from experiments.tracking import model
from experiments.tracking.client import Client
from experiments.tracking.decimation import DENSE, OF_MANY
from experiments.tracking.identity import identify
from experiments.tracking.positions import Position
from experiments.tracking.store import RefusedError, experiment, is_lasting, patient

_MOST = {"metrics": 1000, "params": 100, "tags": 100}  # that MLflow takes in one call
_ALONE = ("model", "end")  # events not sent together with others
_LONGEST = 6000  # characters of a parameter, which MLflow cuts without a word
_RESERVED = ("mlflow.", "experiments.")  # beginnings of tags that mean something to MLflow or us
_OWN = {
    *(f"mlflow.source.{part}" for part in ("name", "type", "git.commit")),
    *("mlflow.user", "mlflow.note.content"),
}
log = logging.getLogger(__name__)


class Replica:
    """Sends a journal's events to MLflow, each at least once, to the same effect as once.

    `position` is what MLflow will have once what was sent is committed; `moved` is called when it
    took something. Of the `points` met it sent `metrics`, and `artifacts`.
    """

    def __init__(
        self, client: Client, folder: Path, position: Position, moved: Callable[[], None]
    ) -> None:
        self._client, self._folder, self._moved = client, folder, moved
        self.points = self.metrics = self.artifacts = 0
        self.begin(position)

    def begin(self, position: Position) -> None:
        """Go on from a position, which moves along; what was not sent is forgotten."""
        self.position = position
        self._waiting: list[Metric] = []

    def take(self, event: Event) -> bool:
        """Send an event, its numbers when there are many, and say whether to commit them now."""
        kind = event["event"]
        if kind == "start":
            self._start(event)
        if not self.position.mlflow_run_id:
            raise RefusedError(f"{journal.FILE} does not begin with the start of a run.")
        if kind in journal.NUMBERS:
            self._waiting += self._points(event)
        due = kind in _ALONE or len(self._waiting) >= _MOST["metrics"]
        if due:
            self.flush()
        if kind not in journal.NUMBERS:
            self._take(event)
        return due

    def flush(self) -> None:
        """Send the numbers that wait for more."""
        self._log("metrics", self._waiting)
        self.metrics += len(self._waiting)
        self._waiting = []

    def end(self, status: str, time: int) -> None:
        """Send what stays to be sent until there is more, and end the run."""
        last = self.position.decimation.last()
        self._waiting += [Metric(name, value, at, step) for name, step, value, at in last]
        self.flush()
        self.position.decimation.left_out.clear()
        self._add_artifact(journal.FILE)
        self._client.set_terminated(self.position.mlflow_run_id, status, time)
        self.position.ended = True

    def _take(self, event: Event) -> None:
        """Send an event that holds no numbers."""
        if self.position.ended:
            self._client.commit()
            self._client.update_run(self.position.mlflow_run_id, status="RUNNING")
            self.position.ended = False
        try:
            self._take_part(event)
            self._moved()
        except Exception as error:
            if not is_lasting(error):
                raise
            self._refuse(f"{event['event']} {event.get('path', '')}".rstrip(), error)

    def _take_part(self, event: Event) -> None:
        match event["event"]:
            case "start":
                params = [Param(key, str(v)[:_LONGEST]) for key, v in event["params"].items()]
                self._log("params", params)
                self._log("tags", list(self._tags(event["tags"])))
            case "tags":
                self._log("tags", list(self._tags(event["values"])))
            case "dataset":
                self._add_dataset(event)
            case "artifact":
                self._add_artifact(event["path"], event["folder"])
            case "model":
                self._client.commit()
                checkpoint = enclosure.file(self._folder, event["path"])
                code = enclosure.entries(self._folder, event["code"])
                model.add(self._client, self.position.mlflow_run_id, event, checkpoint, code)
            case "end":
                self.end(event["status"], event["time"])

    def _start(self, event: Event) -> None:
        """Find the run, or make it; a lasting error here is the whole run's."""
        self.position.decimation.dense = OF_MANY if event["parent_id"] else DENSE
        try:
            self.position.experiment_id = experiment(self._client, event["experiment"])
            self.position.mlflow_run_id = identify(
                self._client, self.position.experiment_id, event, self._moved
            )
        except Exception as error:
            if is_lasting(error):
                raise RefusedError(f"The store refuses the run: {error}") from error
            raise

    def _points(self, event: Event) -> Iterator[Metric]:
        """Give the numbers of an event that are sent."""
        for name, step, value in journal.points(event):
            self.points += 1
            self.position.step = max(self.position.step, step)
            if self.position.decimation.takes((name, step, value, event["time"])):
                yield Metric(name, value, event["time"], step)

    def _log(self, kind: str, items: Sequence[Any], most: int | None = None) -> None:
        """Send items, `most` at once; halve what MLflow refuses, to leave out the bad alone."""
        size = most or _MOST[kind]
        for start in range(0, len(items), size):
            part = items[start : start + size]
            try:
                self._client.log_batch(self.position.mlflow_run_id, **{kind: part})
                self._moved()
            except Exception as error:
                if not is_lasting(error):
                    raise
                if len(part) > 1:
                    self._log(kind, part, (len(part) + 1) // 2)
                else:
                    self._refuse(f"{kind.removesuffix('s')} {part[0].key}", error)

    def _add_dataset(self, event: Event) -> None:
        dataset = Dataset(
            name=event["name"],
            digest=event["digest"],
            source_type="local",
            source=json.dumps({"uri": event["source"]}),
            profile=event["profile"],
        )
        tag = InputTag("mlflow.data.context", event["context"])
        self._client.log_inputs(self.position.mlflow_run_id, [DatasetInput(dataset, [tag])])

    def _add_artifact(self, path: str, folder: str = "") -> None:
        if folder and not enclosure.is_inside(folder):
            raise DataError(f"{folder} is no path among the run's artifacts.")
        with patient():
            run, file = self.position.mlflow_run_id, enclosure.file(self._folder, path)
            self._client.log_artifact(run, str(file), folder or None)
        self.artifacts += 1

    def _tags(self, tags: Mapping[str, str]) -> Iterator[RunTag]:
        """Give tags, but those by which MLflow and we find runs, which no journal gives."""
        for name, text in tags.items():
            if name.startswith(_RESERVED) and name not in _OWN:
                self._refuse(f"tag {name}", DataError("a run gives itself none of this name"))
            else:
                yield RunTag(name, text)

    def _refuse(self, what: str, error: Exception) -> None:
        reason = clean(" ".join(str(error).split())[:300])
        log.warning("%s: %s is left out: %s", self._folder, what, reason)
        self.position.refuse(f"{what}: {reason}")
