"""A table as pandas reads it, and where in its file a cell stands."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import DataError
from plugins.dataset._table import _lines, _packed, _parquet, _text
from plugins.dataset._table._dialect import Asked, Dialect


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file; `dialect` is how it is written, None where it is no text."""

    path: Path
    frame: Any
    asked: Asked
    dialect: Dialect | None

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [*self.frame.columns]

    def place(self, row: int) -> str:
        """Say where row `row` of the data stands: its line, if it has one."""
        if self.dialect is None:
            return f"row {row + 1}"
        lines = (line for line, _ in _lines.rows(self.path, self.dialect))
        return f"line {next(line for number, line in enumerate(lines) if number == row)}"

    def __str__(self) -> str:
        rows, columns = self.frame.shape
        found = f"{self.path}: {rows} rows of {columns} columns"
        if self.dialect is None:
            return f"{found}, parquet."
        return (
            f"{found}, {self.dialect}; dataset.encoding, delimiter, decimal, thousands and header "
            "say otherwise."
        )


def read(path: Path, asked: Asked, words: Collection[str] = ()) -> Table:
    """Return the table in a file, whose columns `words` stay as they are written.

    Raises DataError where it is absent, empty, no table, or ragged.
    """
    try:
        if _parquet.is_one(path):
            frame, dialect = _parquet.read(path), None
        else:
            frame, dialect = _text.read(path, asked, words)
    except (*_packed.BROKEN, csv.Error, ValueError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"{path}: expected a table, which cannot be read: {told}.") from error
    if not len(frame):
        raise DataError(f"{path}: expected rows below the line of names, found none.")
    return Table(path, frame, asked, dialect)
