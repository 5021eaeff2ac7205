"""What a column of a table holds, as numbers."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What a column holds."""

    numbers = "a number"
    booleans = "true or false"
    dates = "a date"
    words = "a word"


@dataclass(frozen=True, slots=True)
class Column:
    """An array `values` [N] of float64, NaN where a cell is missing.

    Booleans are 1 and 0, dates days since the table's first; of words it is their place among the
    sorted `words`, -1 where one is not among them. `how` says what was found in the text.
    """

    name: str
    kind: Kind
    values: Any
    words: tuple[str, ...] = ()
    how: str = ""
    first: float = 0.0  # day since 1970, of dates
    either: bool = False  # whether day and month of dates could be the other way round

    @property
    def missing(self) -> Any:
        """Which cells are missing, as booleans [N]."""
        import numpy as np

        return np.isnan(self.values)
