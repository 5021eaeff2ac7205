"""Read a column of text: as what most of its cells are, else as words."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from experiments import DataError
from plugins.dataset._table import _dates, _numbers
from plugins.dataset._table._column import Column, Kind
from plugins.dataset._table._dialect import WRITTEN
from plugins.dataset._table._table import Table


def read(table: Table, name: str, like: Column | None, words: bool) -> Column:
    """Return a column of text, of the kind of `like` if that is given, or as `words`.

    Raises DataError naming the first cell that is unlike most others.
    """
    import numpy as np

    places, texts = _different(table, name)
    if words:
        return _words(name, places, texts, like)
    if not len(texts):
        return Column(
            name, Kind.numbers if like is None else like.kind, np.full(len(places), np.nan)
        )
    counts = np.bincount(places[places >= 0])
    # Most of the cells decide, so that one that is unlike them is an error and makes no words.
    best, most = None, 0.0 if like else 0.5
    readings = _readings(table, name, texts)
    for found in readings:
        share = float(counts[~found.missing].sum() / counts.sum())
        if (like is None or _alike(found, like)) and share >= most:
            if share == 1:
                either = found.kind is Kind.dates and like is None and _differ(found, readings)
                values = np.append(found.values, np.nan)[places]
                return replace(found, values=values, either=either)
            best, most = best if share == most and best else found, share
    if like is None and best is None:
        return _words(name, places, texts, like)
    nothing = np.full(len(texts), np.nan)
    best = best or replace(like or Column(name, Kind.words, nothing), values=nothing)
    row = int(np.append(best.missing, False)[places].argmax())
    raise wrong_cell(table, name, row, best.kind.value, texts[places[row]])


def _differ(found: Column, others: Iterator[Column]) -> bool:
    """Say whether another reading has a number for each text, and other numbers."""
    return any(
        not other.missing.any() and bool((other.values != found.values).any()) for other in others
    )


def _alike(found: Column, like: Column) -> bool:
    """Say whether a reading is that of the main file, where 03/04 is not in another month."""
    same = found.kind is not Kind.dates or like.how in ("", found.how)
    return found.kind is like.kind and same


def _different(table: Table, name: str) -> tuple[Any, Any]:
    """Return each cell's place [N] among the different texts, -1 where it is missing, and those."""
    import pandas

    cells = table.frame[name]
    texts = cells.astype(str).str.strip()
    texts = texts.mask(cells.isna() | texts.isin(table.asked.na_values))
    places, different = pandas.factorize(texts)
    return places, pandas.Series(different, dtype="str")


def _readings(table: Table, name: str, texts: Any) -> Iterator[Column]:
    """Yield the ways to read texts, NaN where one is nothing of the kind."""
    truth = texts.str.lower().map({"true": 1.0, "false": 0.0}).to_numpy("float64")
    yield Column(name, Kind.booleans, truth)
    asked, found = table.asked, table.dialect.decimal if table.dialect else "."
    for point, mark in _numbers.formats(found, decimal=asked.decimal, thousands=asked.thousands):
        how = f"decimal {WRITTEN[point]}" + (f", thousands {WRITTEN[mark]}" if mark else "")
        yield Column(name, Kind.numbers, _numbers.read(texts, point, mark), how=how)
    for days, form in _dates.readings(texts, asked.date_format):
        yield Column(name, Kind.dates, days, how=form)


def _words(name: str, places: Any, texts: Any, like: Column | None) -> Column:
    import numpy as np

    words = tuple(sorted(texts)) if like is None else like.words
    known = {word: float(place) for place, word in enumerate(words)}
    values = np.array([*(known.get(text, -1.0) for text in texts), np.nan])
    return Column(name, Kind.words, values[places], words)


def wrong_cell(table: Table, name: str, row: int, expected: str, found: str) -> DataError:
    """Return the error for a cell that is not what its column needs."""
    return DataError(
        f"{table.path}, {table.place(row)}, column '{name}': expected {expected}, found "
        f"'{found[:50]}'; dataset.na_values=[{found[:50]}] takes it for a missing cell, "
        f"dataset.categories=[{name}] the column for words, and dataset.ignore=[{name}] leaves it "
        "out."
    )
