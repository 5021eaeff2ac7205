"""A table of text: a line of names, then a line a row, as spreadsheets write it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from experiments import DataError
from plugins.dataset import _rows

MOST_WORDS = 100  # different ones in a column that becomes one input a word
_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a file; `lines` are the rows' line numbers."""

    path: Path
    lines: Sequence[int]
    columns: dict[str, list[str]]

    def is_numeric(self, name: str) -> bool:
        """Say whether half of a column are numbers, or more, so that its other cells are wrong."""
        cells = self.columns[name]
        return sum(_number(cell) is not None for cell in cells) * 2 >= len(cells)

    def numbers(self, name: str) -> Tensor:
        """Return a column as floats [N], or raise DataError naming the first cell that is none."""
        values = []
        for line, cell in zip(self.lines, self.columns[name], strict=True):
            value = _number(cell)
            if value is None:
                raise self._wrong(name, line, "a number", cell)
            values.append(value)
        return torch.tensor(values, dtype=torch.double)

    def words(self, name: str) -> tuple[list[str], Tensor]:
        """Return a column's different texts, sorted, and each cell's place among them [N]."""
        for line, cell in zip(self.lines, self.columns[name], strict=True):
            if not cell:
                raise self._wrong(name, line, "a word", cell)
        words = sorted(set(self.columns[name]))
        place = {word: index for index, word in enumerate(words)}
        return words, torch.tensor([place[cell] for cell in self.columns[name]])

    def features(self, name: str) -> Tensor:
        """Return a column as inputs [N, F]: its numbers, or one input for each different word."""
        if self.is_numeric(name):
            return self.numbers(name).unsqueeze(1)
        words, places = self.words(name)
        if len(words) > MOST_WORDS:
            raise DataError(
                f"{self.path}: column '{name}' has {len(words)} different texts, more than "
                f"{MOST_WORDS}; leave it out with dataset.ignore=[...]."
            )
        return torch.nn.functional.one_hot(places, len(words)).double()

    def _wrong(self, name: str, line: int, expected: str, cell: str) -> DataError:
        found = f"'{cell[:50]}'" if cell else "an empty cell"
        return DataError(
            f"{self.path}, line {line}, column '{name}': expected {expected}, found {found}."
        )


def read(path: Path, delimiter: str) -> Table:
    """Return the table in a file; raise DataError where it is absent, empty or ragged."""
    rows = _rows.read(path, delimiter)
    names = _names(path, rows[0][1])
    columns = zip(*(cells for _, cells in rows[1:]), strict=True)
    cells_of = {name: list(cells) for name, cells in zip(names, columns, strict=True)}
    return Table(path, [line for line, _ in rows[1:]], cells_of)


def _names(path: Path, names: list[str]) -> list[str]:
    if not all(names) or len(set(names)) < len(names):
        found = ", ".join(names)[:100]
        raise DataError(f"{path}: expected different names in its first line, found {found}.")
    if all(_number(name) is not None for name in names):
        raise DataError(f"{path}: expected names in its first line, found numbers.")
    return names


def _number(cell: str) -> float | None:
    """Return the finite number that a cell holds, if it does."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST and "_" not in cell else None
