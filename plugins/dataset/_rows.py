"""Read the rows of a table, no more of them or of a line than can be one."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from experiments import DataError
from plugins.dataset import _paths

LARGEST = 2**30  # bytes
LONGEST = 2**22  # characters of a line, which is as much as is read of what has no lines
Row = tuple[int, list[str]]


def read(path: Path, delimiter: str) -> list[Row]:
    """Return each row's line number and cells; raise DataError where they are no table.

    The first row has the columns' names, and each other one as many cells.
    """
    _paths.size(path, most=LARGEST)
    rows: list[Row] = []
    try:
        # Spreadsheets begin a file with a byte order mark, which utf-8-sig skips.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(file), delimiter=delimiter, strict=True)
            for row in reader:
                if row:
                    rows.append((reader.line_num, [cell.strip() for cell in row]))
                    _compare(path, rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected lines of text in UTF-8: {error}.") from error
    if len(rows) < 2:
        raise DataError(f"{path}: expected a line of names and rows, found {len(rows)} lines.")
    return rows


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise csv.Error(f"expected lines of less than {LONGEST} characters, found more")
        yield line


def _compare(path: Path, rows: Sequence[Row]) -> None:
    """Raise DataError where the last row is longer or shorter than the first."""
    (first, names), (line, cells) = rows[0], rows[-1]
    if len(cells) != len(names):
        raise DataError(
            f"{path}, line {line}: expected {len(names)} cells, as in line {first}, "
            f"found {len(cells)}."
        )
