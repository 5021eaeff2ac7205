"""The tables of MLflow's store in a file, as far as our own client writes to them."""

import sqlite3
from contextlib import closing
from pathlib import Path

REVISION = "dc11669786a5"  # of MLflow 3.17's tables
_COLUMNS = {
    "experiments": "artifact_location creation_time experiment_id last_update_time "
    "lifecycle_stage name workspace",
    "runs": "artifact_uri deleted_time end_time entry_point_name experiment_id lifecycle_stage "
    "name run_uuid source_name source_type source_version start_time status user_id",
    "params": "key run_uuid value",
    "tags": "key run_uuid value",
    "metrics": "is_nan key run_uuid step timestamp value",
    "latest_metrics": "is_nan key run_uuid step timestamp value",
    "datasets": "dataset_profile dataset_schema dataset_source dataset_source_type dataset_uuid "
    "digest experiment_id name",
    "inputs": "destination_id destination_type input_uuid source_id source_type step",
    "input_tags": "input_uuid name value",
}


def is_known(file: Path) -> bool:
    """Say whether a store's tables are just those that are written to without MLflow's mapper."""
    return revision(file) == REVISION and all(
        _found(file, f"select name from pragma_table_info('{table}') order by name")
        == columns.split()
        for table, columns in _COLUMNS.items()
    )


def revision(file: Path) -> str:
    """Return the version of a store's tables; empty where it has none of MLflow's."""
    try:
        found = _found(file, "select version_num from alembic_version")
    except sqlite3.OperationalError:  # no such table, or locked: MLflow says more
        return ""
    return found[0] if found else ""


def _found(file: Path, query: str) -> list[str]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        return [str(row[0]) for row in connection.execute(query)]
