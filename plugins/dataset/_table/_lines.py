"""Go through the lines of a table where something is wrong, to say where."""

from collections.abc import Iterator
from pathlib import Path

from experiments import DataError
from plugins.dataset._table import _packed, _sample
from plugins.dataset._table._dialect import Dialect

_BLOCK = 2**20  # bytes


def rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row below the names."""
    found = dialect.rows(_packed.unpacked(path))
    if dialect.header:
        next(found)
    yield from found


def are_full(path: Path, dialect: Dialect, shape: tuple[int, int], packed: bool) -> bool:
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


def check_widths(path: Path, dialect: Dialect, width: int) -> None:
    """Raise DataError where a row has fewer cells or more than the first."""
    for line, cells in rows(path, dialect):
        if len(cells) != width and not (len(cells) == width + 1 and not cells[-1]):
            raise DataError(
                f"{path}, line {line}: expected {width} cells, as in the first line, "
                f"found {len(cells)}; the delimiter is {dialect.named_delimiter}, unless "
                "dataset.delimiter says otherwise."
            )
