"""Read a table of text by pandas' parser."""

import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import DataError
from plugins.dataset._table import _guess, _lines, _packed, _sample
from plugins.dataset._table._dialect import AUTO, Asked, Dialect

UNNAMED = "Unnamed: "  # which pandas calls a column that has no name


def read(path: Path, asked: Asked, words: Collection[str]) -> tuple[Any, Dialect]:
    """Return a frame and how it is written; the columns `words` stay as they are.

    Raises DataError where rows have different lengths or two columns one name, and what pandas
    raises where it is no table.
    """
    dialect = _guess.dialect(path, asked)
    while True:
        try:
            return _parsed(path, dialect, asked, words), dialect
        except UnicodeDecodeError:  # a byte further down, of which the first lines told nothing
            if asked.encoding != AUTO or dialect.encoding not in _sample.ENCODINGS[:-1]:
                raise
            place = _sample.ENCODINGS.index(dialect.encoding)
            dialect = replace(dialect, encoding=_sample.ENCODINGS[place + 1])


def _parsed(path: Path, dialect: Dialect, asked: Asked, words: Collection[str]) -> Any:
    import pandas

    names = _names(path, dialect)
    # Separators that are asked for must not be taken for decimal marks: numbers are read later.
    as_written = {*names} if asked.thousands not in {AUTO, ""} else {*words} & {*names}
    how = {
        "sep": r"\s+" if dialect.delimiter == " " else dialect.delimiter,
        "encoding": dialect.encoding,
        "header": 0 if dialect.header else None,
        "names": names,
        "index_col": False,
        "dtype": dict.fromkeys(as_written, str),
        "decimal": dialect.decimal,
        "na_values": [*asked.na_values],
        "keep_default_na": False,
        "skipinitialspace": dialect.spaced,
        "compression": None,
    }
    packed = _packed.is_packed(path)
    try:
        frame = _frame(path, packed, how)
    except (pandas.errors.ParserError, pandas.errors.ParserWarning):
        _lines.check_widths(path, dialect, len(names))
        raise
    if frame[names[-1]].isna().any() and not _lines.are_full(path, dialect, frame.shape, packed):
        _lines.check_widths(path, dialect, len(names))
    # A delimiter at the end of each line makes a column of nothing.
    nothing = [name for name in names if name.startswith(UNNAMED) and frame[name].isna().all()]
    return frame.drop(columns=nothing)


def _frame(path: Path, packed: bool, how: dict[str, Any]) -> Any:
    """Parse block by block, or all at once where a column is of several types."""
    import pandas

    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        warnings.simplefilter("error", pandas.errors.DtypeWarning)
        try:
            return pandas.read_csv(_packed.unpacked(path) if packed else str(path), **how)
        except pandas.errors.DtypeWarning:
            source = _packed.unpacked(path) if packed else str(path)
            return pandas.read_csv(source, low_memory=False, **how)


def _names(path: Path, dialect: Dialect) -> list[str]:
    _, cells = next(dialect.rows(_packed.unpacked(path)))
    if not dialect.header:
        return [str(number) for number in range(1, len(cells) + 1)]
    names = [cell.strip() or f"{UNNAMED}{place}" for place, cell in enumerate(cells)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        told = ", ".join(f"'{name}'" for name in twice)
        raise DataError(f"{path}: expected different names of columns, found more than one {told}.")
    return names
