"""How values stand along an axis, whatever draws it: its kind, its ticks, and places 0 to 1."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from experiments.report.sweep.outcomes import LARGEST, is_drawn

# Numbers by value or by logarithm; numbers at equal distances, by rank; and texts, by alphabet.
Kind = Literal["linear", "log", "rank", "text"]
Tick = tuple[float, str]  # its place and its label

UNSET = "not set"
_UNSET_PLACE = -0.12  # of jobs without the setting, on an axis of numbers
_FEW = 8  # values of a setting that have a tick each


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """An axis; values of a setting have an index, equal numbers the same however written."""

    kind: Kind
    low: float
    high: float
    ticks: tuple[Tick, ...]
    values: tuple[str, ...] = ()
    indexes: Mapping[str, int]

    @classmethod
    def of_setting(cls, texts: Iterable[str]) -> "Scale":
        """Return the axis of a setting that has these values; an empty text is one not set."""
        spellings: dict[float | str, list[str]] = {}
        for text in sorted(dict.fromkeys(texts), key=_order):
            value = number_of(text)
            spellings.setdefault(text if value is None else value, []).append(text)
        indexes = {text: i for i, same in enumerate(spellings.values()) for text in same}
        values = tuple(shown(same[0]) for same in spellings.values())
        numbers = [key for key in spellings if isinstance(key, float)]
        is_unset = "" in spellings
        kind = _kind(numbers) if len(numbers) + is_unset == len(spellings) else "text"
        if kind in ("linear", "log"):
            low, high = numbers[0], numbers[-1]
            marks = list(zip(numbers, values[is_unset:], strict=True))
            marks = marks if len(marks) <= _FEW else list(_round_ticks(kind, low, high))
        else:
            low, high = float(kind == "rank" and is_unset), max(0.0, len(values) - 1.0)
            marks = [(float(i), value) for i, value in enumerate(values) if i >= low]
        ticks = [(_share(mark, low, high, log=kind == "log"), label) for mark, label in marks]
        if is_unset and kind != "text":
            ticks.insert(0, (_UNSET_PLACE, UNSET))
        return cls(
            kind=kind, low=low, high=high, ticks=tuple(ticks), values=values, indexes=indexes
        )

    @classmethod
    def of_metric(cls, values: Iterable[float], *, higher_is_better: bool) -> "Scale":
        """Return the axis of a metric; a loss that spans more than a factor 100 has a log axis.

        A value that is worse than the median by far more than the best is better has its place at
        the axis' end, so that one job out of all proportion leaves the others apart.
        """
        drawn = (value for value in values if is_drawn(value))
        found = sorted(value if abs(value) >= 1 / LARGEST else 0.0 for value in drawn)
        if not found:
            return cls(kind="linear", low=0, high=0, ticks=(), indexes={})
        log = not higher_is_better and found[0] > 0 and found[-1] > 100 * found[0]
        units = [math.log10(value) for value in found] if log else found
        best, middle = units[-1 if higher_is_better else 0], median(units)
        gap = abs(middle - best)
        reach = max(2 * gap, 3) if log else 10 * (gap + abs(middle)) or math.inf
        low, high = found[0], found[-1]
        if higher_is_better:
            low = max(low, middle - reach)
        elif units[-1] > middle + reach:
            high = 10 ** (middle + reach) if log else middle + reach
        kind: Kind = "log" if log else "linear"
        marks = _round_ticks(kind, low, high)
        ticks = tuple((_share(mark, low, high, log=log), label) for mark, label in marks)
        return cls(kind=kind, low=low, high=high, ticks=ticks, indexes={})

    def at(self, number: float) -> float:
        """Return the place of a number: 0 is low, 1 is high, and so is what lies beyond."""
        return _share(number, self.low, self.high, log=self.kind == "log")

    def place(self, text: str) -> float:
        """Return the place of one of the setting's values."""
        if text == "" and self.kind != "text":
            return _UNSET_PLACE
        value = number_of(text) if self.kind in ("linear", "log") else None
        return self.at(self.indexes[text] if value is None else value)

    def minor(self) -> list[float]:
        """Return the places of the 2nd to 9th parts of each decade, on a log axis of few."""
        if self.kind != "log" or self.high / self.low > 1e8:
            return []
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
        marks = (digit * 10.0**power for power in powers for digit in range(2, 10))
        return [self.at(mark) for mark in marks if self.low < mark < self.high]


def number_of(text: str) -> float | None:
    """Return the number that a setting's text is, if it is one that has a place on an axis."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_drawn(value) and (value == 0 or abs(value) >= 1 / LARGEST) else None


def thinned(ticks: Iterable[Tick], gap: float) -> list[Tick]:
    """Leave out ticks that lie nearer than `gap` to the last one kept."""
    kept: list[Tick] = []
    for place, label in sorted(ticks):
        if not kept or place - kept[-1][0] >= gap - 1e-9:
            kept.append((place, label))
    return kept


def written(value: float) -> str:
    """Write a number in few characters."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"


def shown(text: str) -> str:
    """Return a setting's value as it stands in a figure: a number of many digits rounded."""
    value = number_of(text)
    return UNSET if text == "" else text if value is None or len(text) <= 8 else written(value)


def _share(value: float, low: float, high: float, *, log: bool) -> float:
    if not low < high:
        return 0.5
    value = min(max(value, low), high)
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _order(text: str) -> tuple[bool, bool, float, str]:
    value = number_of(text)
    return text != "", value is None, value or 0.0, text


def _kind(numbers: Sequence[float]) -> Kind:
    """Choose an axis for distinct numbers in their order."""
    if not numbers:
        return "text"
    positive = [value for value in numbers if value > 0]
    if not _is_geometric(positive):
        return "linear"
    if len(positive) == len(numbers):
        return "log"
    # A 0 before 1e-4, 1e-3 and 1e-2 has no place on a log axis, and these none on a linear one.
    return "rank" if numbers[0] == 0 and len(numbers) <= 2 * _FEW else "linear"


def _is_geometric(numbers: Sequence[float]) -> bool:
    """Say whether positive numbers, in their order, are rather factors apart than differences."""
    if len(numbers) < 2:
        return False
    ratios = [high / low for low, high in pairwise(numbers)]
    if len(ratios) > 1 and max(ratios) < 1.05 * min(ratios) and numbers[-1] > 2 * numbers[0]:
        return True
    low, middle, high = numbers[0], median(numbers), numbers[-1]
    # Many even steps, 1 to 20 or a random dropout, span a factor too; their median tells.
    skew = [abs(_share(middle, low, high, log=log) - 0.5) for log in (True, False)]
    return high / low > 9.99 and (len(numbers) == 2 or skew[0] <= skew[1] + 0.2)


def _round_ticks(kind: Kind, low: float, high: float) -> Iterator[Tick]:
    """Yield round numbers from low to high, at most about 8, and their labels."""
    if not low < high:
        yield low, written(low)
    elif kind == "log" and high / low >= 5:
        ends = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        powers = range(ends[0], ends[1] + 1, max(1, (ends[1] - ends[0]) // 6))
        digits = (1,) if len(powers) > 2 else (1, 2, 5)
        reach = range(ends[0] - 1, ends[1] + 1) if len(powers) <= 2 else powers
        marks = [digit * 10.0**power for power in reach for digit in digits]
        yield from ((mark, written(mark)) for mark in marks if low <= mark <= high)
    else:
        rough = (high - low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10, 20) if digit * power >= rough)
        for mark in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
            yield mark * step, f"{mark * step:.6g}"
