"""Read a table from a parquet file."""

from pathlib import Path
from typing import Any

from experiments import DataError
from plugins.dataset._table import _packed

_CELLS = 2**28  # 2 GiB of them as float64: few bytes of a file can stand for many


def is_one(path: Path) -> bool:
    """Say whether a file is one by its first bytes, or raise DataError where only its name is."""
    found = _packed.start(path).startswith(b"PAR1")
    if path.suffix.lower() in {".parquet", ".pq"} and not found:
        raise DataError(f"{path}: expected a parquet file, found something else.")
    return found


def read(path: Path) -> Any:
    """Return the frame in a file; raise DataError where it holds too much, or no single values."""
    from pyarrow import parquet, types

    with parquet.ParquetFile(path) as file:
        rows, columns = file.metadata.num_rows, len(file.schema_arrow)
        if rows * columns > _CELLS:
            raise DataError(f"{path}: expected at most {_CELLS} cells, found {rows * columns}.")
        if len({*file.schema_arrow.names}) < columns:
            raise DataError(f"{path}: expected different names of columns, found one twice.")
        for field in file.schema_arrow:
            if types.is_nested(field.type) or types.is_binary(field.type):
                raise DataError(f"{path}: column '{field.name}' holds {field.type}, no numbers.")
        return file.read().to_pandas(ignore_metadata=True)
