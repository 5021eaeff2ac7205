"""Guess from a table's first lines how it is written."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from experiments import DataError
from plugins.dataset._table import _dates, _numbers, _sample
from plugins.dataset._table._dialect import AUTO, Asked, Dialect

Rows = Sequence[Sequence[str]]


def dialect(path: Path, asked: Asked) -> Dialect:
    """Return how a table is written, which a file's first lines tell where a setting does not.

    Raises DataError where they are no text.
    """
    text, encoding, whole = _sample.read(path, asked.encoding)
    if not text.strip():
        raise DataError(f"{path}: expected a line of names and rows, found an empty file.")
    delimiter = _delimiter(text, whole) if asked.delimiter == AUTO else asked.delimiter
    rows = _rows(text, delimiter, whole)
    decimal = asked.decimal
    if decimal == AUTO:
        cells = [cell for row in rows for cell in row]
        decimal = _numbers.decimal(cells, delimiter, asked.likely_decimal)
    header = _header(rows, asked.na_values) if asked.header is None else asked.header
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        header=header,
        decimal=decimal,
        spaced=_is_spaced(text, delimiter),
    )


def _delimiter(text: str, whole: bool) -> str:
    """Return what divides the lines into as many cells each, most of them numbers."""
    best, chosen = (0.0, 0.0), ""
    for delimiter in ",;\t|":
        rows = _rows(text, delimiter, whole)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        cells = [cell for row in rows for cell in row]
        alike = sum(len(row) == width for row in rows) / len(rows)
        score = alike, sum(map(_numbers.is_number, cells)) / len(cells)
        if score > best:
            best, chosen = score, delimiter
    if best[0] > 0.5:
        return chosen
    widths = {len(row) for row in _rows(text, " ", whole)}
    return " " if len(widths) == 1 and widths != {1} else chosen or ","


def _rows(text: str, delimiter: str, whole: bool) -> Rows:
    """Return the complete rows of a text, as far as they can be told."""
    found = Dialect(
        encoding="utf-8",
        delimiter=delimiter,
        header=False,
        decimal=".",
        spaced=_is_spaced(text, delimiter),
    )
    rows: list[list[str]] = []
    try:
        rows.extend(row for _, row in found.rows(io.BytesIO(text.encode())))
    except csv.Error:  # what is wrong is told where all is read
        whole = True
    return rows if whole or len(rows) < 2 else rows[:-1]


def _is_spaced(text: str, delimiter: str) -> bool:
    return f'{delimiter} "' in text


def _header(rows: Rows, na_values: Sequence[str]) -> bool:
    """Say whether the first row has names: a word above numbers, not one that comes again below.

    Where nothing tells, it has, if its cells differ and one of them is no number.
    """
    names, *body = ([cell.strip() for cell in row] for row in rows)
    against = False
    for place, name in enumerate(names):
        below = [row[place] for row in body if len(row) > place and row[place] not in na_values]
        if not below or name in na_values:
            continue
        if sum(map(_is_value, below)) * 2 > len(below):
            if not _is_value(name):
                return True
            against = True
        against |= name in below
    return not against and len({*names}) == len(names) and not all(map(_numbers.is_number, names))


def _is_value(cell: str) -> bool:
    return _numbers.is_number(cell) or _dates.is_date(cell)
