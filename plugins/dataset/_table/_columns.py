"""Read a column of a table: measured numbers, truth values, days, or the places of words."""

from dataclasses import replace

from experiments import DataError
from plugins.dataset._table import _dates, _texts
from plugins.dataset._table._column import Column, Kind
from plugins.dataset._table._table import Table

LARGEST = 1e100  # whose square has a place in float64


def read(table: Table, name: str, *, like: Column | None = None, words: bool = False) -> Column:
    """Return a column; where another file's is `like`, one of the same kind.

    Raises DataError naming the first cell that is not like most others.
    """
    from pandas.api import types

    series = table.frame[name]
    if like is not None:
        words = like.kind is Kind.words
    if words or not (types.is_numeric_dtype(series) or types.is_datetime64_any_dtype(series)):
        column = _texts.read(table, name, like, words)
    elif types.is_datetime64_any_dtype(series):
        column = Column(name, Kind.dates, _dates.days(series).to_numpy())
    else:
        kind = Kind.booleans if types.is_bool_dtype(series) else Kind.numbers
        column = Column(name, kind, series.to_numpy("float64", na_value=float("nan")))
    _check(table, column, like)
    if column.kind is not Kind.dates:
        return column
    known = column.values[~column.missing]
    first = like.first if like is not None else known.min() if len(known) else 0.0
    return replace(column, values=column.values - first, first=first)


def _check(table: Table, column: Column, like: Column | None) -> None:
    """Raise DataError where a number is too large, or the column unlike the other file's."""
    import numpy as np

    values = column.values
    if len(values) and max(np.fmax.reduce(values), -np.fmin.reduce(values)) > LARGEST:
        row = int((np.abs(values) > LARGEST).argmax())
        what = f"a number of at most {LARGEST:g}"
        raise _texts.wrong_cell(table, column.name, row, what, f"{column.values[row]:g}")
    if like is not None and column.kind is not like.kind:
        raise DataError(
            f"{table.path}: column '{column.name}' must have {like.kind.value} in each cell, as in "
            f"the other file, and has {column.kind.value}."
        )
