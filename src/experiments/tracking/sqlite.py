"""MLflow's store as a file, written to in its own tables: of a thousand runs each is quick.

MLflow's object-relational mapper takes ten times as long for a run. Tables that are not as they are
known here (`tables.py`), and any other store, are MLflow's to write to.
"""

import math
import shutil
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

from experiments.tracking.client import Client

_WAIT = 20.0  # seconds for another process's transaction
_LOG = 20_000  # pages of 4 KiB: one that many runs are written to is brought in once
_LARGEST = 1.7976931348623157e308  # what MLflow stores for infinity
_LATEST = """
    insert into latest_metrics (key, value, is_nan, timestamp, step, run_uuid)
    values (?, ?, ?, ?, ?, ?) on conflict (key, run_uuid) do update set
    value = excluded.value, timestamp = excluded.timestamp, step = excluded.step,
    is_nan = excluded.is_nan where (excluded.step, excluded.timestamp, excluded.value)
    > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)
"""


class LocalClient(Client):
    """A client whose calls that a run needs many of go to the store's file itself."""

    def __init__(self, uri: str, file: Path) -> None:
        super().__init__(uri)
        self._connection = sqlite3.connect(file, timeout=_WAIT, isolation_level=None)
        self._connection.execute("pragma foreign_keys = on")
        self._has_log, self._places = False, dict[str, Path]()  # of each run's artifacts

    def find_runs(self, experiment_id: str, tag: str, value: str) -> list[str]:
        rows = self._connection.execute(
            "select tags.run_uuid from tags join runs using (run_uuid) where tags.key = ? "
            "and tags.value = ? and experiment_id = ? and lifecycle_stage = 'active'",
            (tag, value, int(experiment_id)),
        )
        return [str(row[0]) for row in rows]

    def add_run(self, experiment_id: str, time: int, tags: dict[str, str], name: str) -> str:
        number, run_id = int(experiment_id), uuid.uuid4().hex
        root = self._value("artifact_location from experiments where experiment_id", number)
        self._writing().execute(
            "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, "
            "user_id, status, start_time, source_version, lifecycle_stage, artifact_uri, "
            "experiment_id) values (?, ?, 'UNKNOWN', '', '', 'unknown', 'RUNNING', ?, '', "
            "'active', ?, ?)",
            (run_id, name, time, f"{root}/{run_id}/artifacts", number),
        )
        self._set_tags(run_id, {**tags, "mlflow.runName": name})
        return run_id

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
        **_: Any,
    ) -> None:
        """Store numbers, parameters and tags of a run, as often as they come to the same effect."""
        for metric in {metric.key: metric for metric in metrics}.values():  # one of each name
            _validate_metric(metric.key, metric.value, metric.timestamp, metric.step)
        given = [_validate_param(param.key, param.value) for param in params]
        texts = [_validate_tag(tag.key, tag.value) for tag in tags]
        rows = [(m.key, *_stored(m.value), m.timestamp, m.step, run_id) for m in metrics]
        # The last of each name by step, time and value, as MLflow compares them.
        latest = {row[0]: row for row in sorted(rows, key=lambda row: (row[4], row[3], row[1]))}
        self._add("metrics (key, value, is_nan, timestamp, step, run_uuid)", rows)
        self._writing().executemany(_LATEST, list(latest.values()))
        self._add("params (key, value, run_uuid)", [(p.key, p.value, run_id) for p in given])
        self._set_tags(run_id, {tag.key: tag.value for tag in texts})

    def log_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput] | None = None, models: Any = None
    ) -> None:
        """Store the data sets of a run."""
        experiment = self._value("experiment_id from runs where run_uuid", run_id)
        for one in datasets or ():
            self._add_dataset(run_id, experiment, one)

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        """Copy a file to a run's artifacts, where these are in a folder."""
        place = self._place(run_id)
        if place is None:
            super().log_artifact(run_id, local_path, artifact_path)
            return
        folder = place / (artifact_path or "")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(local_path, folder / Path(local_path).name)

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        """End a run."""
        self._writing().execute(
            "update runs set status = ?, end_time = ? where run_uuid = ?",
            (status or "FINISHED", end_time, run_id),
        )

    def _place(self, run_id: str) -> Path | None:
        if run_id not in self._places:
            uri = self._value("artifact_uri from runs where run_uuid", run_id)
            parsed = urlparse(uri)
            if parsed.scheme not in ("", "file") or parsed.netloc:
                return None
            self._places[run_id] = Path(unquote(parsed.path) if parsed.scheme else uri)
        return self._places[run_id]

    def commit(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("commit")

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    def settle(self) -> None:
        if not self._has_log:
            return
        with suppress(sqlite3.Error):  # another process uses the log, and will bring it in
            self._connection.execute("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        self.roll_back()
        self.settle()
        with suppress(AttributeError):  # MLflow's own connections
            self._tracking_client.store.engine.dispose()
        if self._has_log:
            with suppress(sqlite3.Error):  # as long as another process has the file open
                self._connection.execute("pragma journal_mode = delete")
        self._connection.close()

    def _value(self, what: str, key: object) -> Any:
        """Return a column of the row that has a key."""
        return self._connection.execute(f"select {what} = ?", (key,)).fetchone()[0]

    def _add(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows to a table, named with its columns, but those that it has already."""
        marks = ", ".join("?" * (table.count(",") + 1))
        self._writing().executemany(f"insert or ignore into {table} values ({marks})", rows)

    def _set_tags(self, run_id: str, tags: Mapping[str, Any]) -> None:
        self._writing().executemany(
            "insert or replace into tags (key, value, run_uuid) values (?, ?, ?)",
            [(key, value, run_id) for key, value in tags.items()],
        )

    def _add_dataset(self, run_id: str, experiment: int, one: DatasetInput) -> None:
        dataset, input_id = one.dataset, uuid.uuid4().hex
        self._add(
            "datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, "
            "dataset_source, dataset_schema, dataset_profile)",
            [(uuid.uuid4().hex, experiment, dataset.name, dataset.digest, dataset.source_type,
              dataset.source, dataset.schema, dataset.profile)],
        )  # fmt: skip
        (known,) = self._connection.execute(
            "select dataset_uuid from datasets where experiment_id = ? and name = ? and digest = ?",
            (experiment, dataset.name, dataset.digest),
        ).fetchone()
        added = self._writing().execute(
            "insert or ignore into inputs (input_uuid, source_type, source_id, destination_type, "
            "destination_id, step) values (?, 'DATASET', ?, 'RUN', ?, 0)",
            (input_id, known, run_id),
        )
        if added.rowcount:
            rows = [(input_id, tag.key, tag.value) for tag in one.tags]
            self._add("input_tags (input_uuid, name, value)", rows)

    def _writing(self) -> sqlite3.Connection:
        """Return the connection in a transaction, which other processes wait for."""
        if not self._has_log:
            # With a log beside the file a commit does not wait for the disk. `close` brings all
            # into the file; a process that is killed leaves that to whoever opens it next.
            with suppress(sqlite3.OperationalError):  # another process writes without one
                self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = normal")
            self._connection.execute(f"pragma wal_autocheckpoint = {_LOG}")
            self._connection.execute(f"pragma cache_size = {_LOG}")
            self._has_log = True
        if not self._connection.in_transaction:
            self._connection.execute("begin immediate")
        return self._connection


def _stored(value: float) -> tuple[float, bool]:
    """Return a number as MLflow stores it, and whether it is none."""
    return (0.0, True) if math.isnan(value) else (max(-_LARGEST, min(value, _LARGEST)), False)
