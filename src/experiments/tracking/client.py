"""A local store of MLflow, written to in its own tables: of a sweep's thousand runs each is quick.

MLflow's object-relational mapper takes 0.2 seconds for a run of some hundred points. Tables that
are not of the version known here, and any other store, are MLflow's to write to.
"""

import math
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.utils.validation import _validate_metric, _validate_param, _validate_tag

REVISION = "dc11669786a5"  # of the tables
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


class Client(MlflowClient):  # type: ignore[misc]  # MLflow's is untyped here
    """MLflow's client, with what a run needs beyond it; `experiments` are those met, by name."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.experiments: dict[str, str] = {}

    def find_runs(self, experiment_id: str, tag: str, value: str) -> list[str]:
        """Return the ids of the runs of an experiment that have a tag."""
        found = self.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", max_results=50_000)
        return [str(run.info.run_id) for run in found]

    def add_run(self, experiment_id: str, time: int, tags: dict[str, str], name: str) -> str:
        """Make a run, and return its id."""
        made = self.create_run(experiment_id, start_time=time, tags=tags, run_name=name)
        return str(made.info.run_id)

    def commit(self) -> None:
        """Make all that was stored since the last time lasting, which waits for the disk."""

    def roll_back(self) -> None:
        """Forget what was stored since the last commit, where that can be."""

    def settle(self) -> None:
        """Store all that is committed in its last place."""

    def close(self) -> None:
        """Let go of the store."""


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
        (root,) = self._connection.execute(
            "select artifact_location from experiments where experiment_id = ?",
            (int(experiment_id),),
        ).fetchone()
        run_id = uuid.uuid4().hex
        connection = self._writing()
        connection.execute(
            "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, "
            "user_id, status, start_time, source_version, lifecycle_stage, artifact_uri, "
            "experiment_id) values (?, ?, 'UNKNOWN', '', '', 'unknown', 'RUNNING', ?, '', "
            "'active', ?, ?)",
            (run_id, name, time, f"{root}/{run_id}/artifacts", int(experiment_id)),
        )
        own = {**tags, "mlflow.runName": name}
        _set_tags(connection, run_id, own.items())
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
        ordered = sorted(rows, key=lambda row: (row[4], row[3], row[1]))
        latest = {row[0]: row for row in ordered}
        connection = self._writing()
        connection.executemany(
            "insert or ignore into metrics (key, value, is_nan, timestamp, step, run_uuid) "
            "values (?, ?, ?, ?, ?, ?)",
            rows,
        )
        connection.executemany(_LATEST, list(latest.values()))
        connection.executemany(
            "insert or ignore into params (key, value, run_uuid) values (?, ?, ?)",
            [(param.key, param.value, run_id) for param in given],
        )
        _set_tags(connection, run_id, [(tag.key, tag.value) for tag in texts])

    def log_inputs(
        self, run_id: str, datasets: Sequence[DatasetInput] | None = None, models: Any = None
    ) -> None:
        """Store the data sets of a run."""
        connection = self._writing()
        (experiment,) = connection.execute(
            "select experiment_id from runs where run_uuid = ?", (run_id,)
        ).fetchone()
        for one in datasets or ():
            _add_dataset(connection, run_id, experiment, one)

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
        connection = self._writing()
        connection.execute(
            "update runs set status = ?, end_time = ? where run_uuid = ?",
            (status or "FINISHED", end_time, run_id),
        )

    def _place(self, run_id: str) -> Path | None:
        if run_id not in self._places:
            (uri,) = self._connection.execute(
                "select artifact_uri from runs where run_uuid = ?", (run_id,)
            ).fetchone()
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
    if math.isnan(value):
        return 0.0, True
    return (math.copysign(_LARGEST, value) if math.isinf(value) else value), False


def _set_tags(connection: sqlite3.Connection, run_id: str, tags: Any) -> None:
    connection.executemany(
        "insert into tags (key, value, run_uuid) values (?, ?, ?) "
        "on conflict (key, run_uuid) do update set value = excluded.value",
        [(key, value, run_id) for key, value in tags],
    )


def _add_dataset(
    connection: sqlite3.Connection, run_id: str, experiment: int, one: DatasetInput
) -> None:
    dataset = one.dataset
    connection.execute(
        "insert or ignore into datasets (dataset_uuid, experiment_id, name, digest, "
        "dataset_source_type, dataset_source, dataset_schema, dataset_profile) "
        "values (?, ?, ?, ?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, experiment, dataset.name, dataset.digest, dataset.source_type,
         dataset.source, dataset.schema, dataset.profile),
    )  # fmt: skip
    (known,) = connection.execute(
        "select dataset_uuid from datasets where experiment_id = ? and name = ? and digest = ?",
        (experiment, dataset.name, dataset.digest),
    ).fetchone()
    added = connection.execute(
        "insert or ignore into inputs (input_uuid, source_type, source_id, destination_type, "
        "destination_id, step) values (?, 'DATASET', ?, 'RUN', ?, 0) returning input_uuid",
        (uuid.uuid4().hex, known, run_id),
    ).fetchone()
    if added is not None:
        connection.executemany(
            "insert or ignore into input_tags (input_uuid, name, value) values (?, ?, ?)",
            [(added[0], tag.key, tag.value) for tag in one.tags],
        )
