"""Read a table of text by pandas' parser, and go through its lines where something is wrong."""

import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import DataError
from plugins.dataset import _guess, _packed, _sample
from plugins.dataset._dialect import AUTO, Asked, Dialect

UNNAMED = "Unnamed: "  # which pandas calls a column that has no name
_BLOCK = 2**20  # bytes


def rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row below the names."""
    found = dialect.rows(_packed.unpacked(path))
    if dialect.header:
        next(found)
    yield from found


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
    packed = _packed.is_packed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            frame = pandas.read_csv(
                _packed.unpacked(path) if packed else str(path),
                sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
                encoding=dialect.encoding,
                header=0 if dialect.header else None,
                names=names,
                index_col=False,
                dtype=dict.fromkeys(as_written, str),
                decimal=dialect.decimal,
                na_values=[*asked.na_values],
                keep_default_na=False,
                skipinitialspace=dialect.spaced,
                low_memory=False,  # or a column's types could differ from block to block
                compression=None,
            )
    except (pandas.errors.ParserError, pandas.errors.ParserWarning):
        _check_widths(path, dialect, len(names))
        raise
    if frame[names[-1]].isna().any() and not _are_full(path, dialect, frame.shape, packed):
        _check_widths(path, dialect, len(names))
    # A delimiter at the end of each line makes a column of nothing.
    nothing = [name for name in names if name.startswith(UNNAMED) and frame[name].isna().all()]
    return frame.drop(columns=nothing)


def _names(path: Path, dialect: Dialect) -> list[str]:
    _, cells = next(dialect.rows(_packed.unpacked(path)))
    if not dialect.header:
        return [str(number) for number in range(1, len(cells) + 1)]
    names = [cell.strip() or f"{UNNAMED}{place}" for place, cell in enumerate(cells)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        told = ", ".join(f"'{name}'" for name in twice)
        raise DataError(f"{path}: expected different names of columns, found more than one {told}.")
    return names


def _are_full(path: Path, dialect: Dialect, shape: tuple[int, int], packed: bool) -> bool:
    """Say whether a file has a delimiter for each cell, which is quickly counted.

    pandas fills short rows, so that a last cell may be missing or not be there.
    """
    lines, columns = shape[0] + dialect.header, shape[1]
    if packed or dialect.delimiter == " " or dialect.encoding not in _sample.ENCODINGS:
        return False
    found = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if b'"' in block:
                return False
            found += block.count(dialect.delimiter.encode())
    return found == lines * (columns - 1)


def _check_widths(path: Path, dialect: Dialect, width: int) -> None:
    """Raise DataError where a row has fewer cells or more than the first."""
    for line, cells in rows(path, dialect):
        if len(cells) != width and not (len(cells) == width + 1 and not cells[-1]):
            raise DataError(
                f"{path}, line {line}: expected {width} cells, as in the first line, "
                f"found {len(cells)}; the delimiter is {dialect.named_delimiter}, unless "
                "dataset.delimiter says otherwise."
            )
