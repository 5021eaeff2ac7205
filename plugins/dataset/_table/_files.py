"""The rows of a table's own files for val and test, below those of its main file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments import DataError, options
from plugins.dataset import _paths
from plugins.dataset._table import _columns, _table, _texts
from plugins.dataset._table._column import Column, Kind


def read(
    paths: Mapping[str, str | None], main: _table.Table, columns: Sequence[Column]
) -> dict[str, _table.Table]:
    """Return the table of each split that has a file, with at least these columns of `main`.

    Raises DataError where one is missing.
    """
    words = {column.name for column in columns if column.kind is Kind.words}
    # 1.234 must not be a thousand in one file and one in the other, where nothing else tells.
    likely = main.dialect.decimal if main.dialect is not None else ""
    asked = replace(main.asked, likely_decimal=likely)
    tables = {
        split: _table.read(_paths.locate(path), asked, words)
        for split, path in paths.items()
        if path is not None
    }
    for table in tables.values():
        for column in columns:
            if column.name not in table.names:
                raise DataError(
                    f"{table.path}: expected column '{column.name}', as in the main file; "
                    f"{options(column.name, table.names)}"
                )
    return tables


def joined(column: Column, tables: Sequence[_table.Table], *, target: bool = False) -> Column:
    """Return a column of the main file with the rows of the other tables below it.

    Raises DataError where a cell is of another kind, or the word of a `target` no class.
    """
    import numpy as np

    if not tables:
        return column
    below = [_columns.read(table, column.name, like=column) for table in tables]
    for table, found in zip(tables, below, strict=True):
        unknown = (found.values == -1) & (column.kind is Kind.words)
        if target and unknown.any():
            row = int(unknown.argmax())
            cell = str(table.frame[column.name][row])
            raise _texts.wrong_cell(table, column.name, row, "a class of the main file", cell)
    return replace(column, values=np.concatenate([part.values for part in (column, *below)]))


def numbered(rows: int, tables: Mapping[str, _table.Table]) -> Any:
    """Return the file of each row: 0 for the main one's `rows`, 1 for that of val, 2 of test."""
    import numpy as np

    below = [(number, tables[s]) for number, s in ((1, "val"), (2, "test")) if s in tables]
    counts = [(0, rows), *((number, len(table.frame)) for number, table in below)]
    return np.concatenate([np.full(count, number) for number, count in counts])


def padded(column: Column, rows: int) -> Column:
    """Return a column that the other files need not have, with zeros for their rows."""
    import numpy as np

    more = np.zeros(rows - len(column.values))
    return replace(column, values=np.concatenate([column.values, more]))


def unknown(columns: Sequence[Column]) -> list[str]:
    """Return a warning where rows of val or test have words that the main file has not."""
    counts = {c.name: int((c.values == -1).sum()) for c in columns if c.kind is Kind.words}
    told = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
    return [f"Words that the main file has not, in val or test: {told}."] if told else []
