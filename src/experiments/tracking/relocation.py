"""A store in a file that was moved together with the artifacts beside it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

from experiments.errors import ConfigError

ARTIFACTS = "mlartifacts"  # the folder beside the file
# What MLflow keeps as an absolute address, below that of an experiment.
_COLUMNS = (
    *(("experiments", "artifact_location"), ("runs", "artifact_uri")),
    *(("logged_models", "artifact_location"), ("model_versions", "source")),
    ("model_versions", "storage_location"),
)
_WAIT = 20.0  # seconds for another process's transaction


def mended(file: Path) -> str:
    """Let a store look for its artifacts where they are now, and say so; mostly nothing is.

    Raises ConfigError where they are neither beside it nor where it says.
    """
    with closing(sqlite3.connect(file, timeout=_WAIT, isolation_level=None)) as connection:
        here, moved = file.parent / ARTIFACTS, dict(_moved(connection, file))
        if not moved:
            return ""
        connection.execute("begin immediate")
        for prefix in moved:
            new = here.as_uri() if prefix.startswith("file:") else str(here)
            for table, column in _COLUMNS:
                names = connection.execute(f"select name from pragma_table_info('{table}')")
                if (column,) in names.fetchall():
                    connection.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) "
                        f"where substr({column}, 1, ?) = ?",
                        (f"{new}/", len(prefix) + 1, len(prefix), prefix),
                    )
        connection.execute("commit")
    before = ", ".join(map(str, dict.fromkeys(moved.values())))
    return f"The store {file} was moved; its artifacts are now looked for in {here}, not {before}."


def _moved(connection: sqlite3.Connection, file: Path) -> Iterator[tuple[str, Path]]:
    """Yield how addresses begin that hold no longer, and the folder that was there."""
    here = file.parent / ARTIFACTS
    for (address,) in connection.execute("select artifact_location from experiments").fetchall():
        place = Path(unquote(urlparse(address).path) if "://" in address else address)
        root = place.parent
        if root.name != ARTIFACTS or not root.is_absolute() or root == here:
            continue
        if root.exists() and (root.samefile(here) if here.exists() else True):
            continue
        if not here.exists():
            raise ConfigError(
                f"The store {file} was moved without its artifacts, and {root} is not there any "
                f"more; move that folder to {here}, or make that one to begin anew."
            )
        if (here / place.name).exists() or not root.exists():
            yield f"{address.rpartition('/')[0]}/", root
