"""What a search may vary: of each setting the numbers of a span, or named values."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from experiments.config import limits

Value: TypeAlias = int | float | str
Point: TypeAlias = dict[str, Value]  # a value of every setting that varies


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers from `low` to `high`, both included: all, or those that are a step apart.

    Whole numbers are ints and have a step. `log` spreads a unit interval over magnitudes; of whole
    numbers it needs the step 1. With `complement` the numbers are those that settings lack to 1.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    complement: bool = False

    @property
    def whole(self) -> bool:
        """Say whether the numbers are integers."""
        return isinstance(self.step, int)

    @property
    def count(self) -> int | None:
        """Return how many numbers there are; None where there is no step."""
        if self.step is None:
            return None
        return int((exact(self.high) - exact(self.low)) / exact(self.step)) + 1

    def number(self, index: int) -> float:
        """Return a number by its place, without the rounding errors of adding up steps."""
        assert self.step is not None
        if self.whole:
            return self.low + index * self.step
        return float(exact(self.low) + index * exact(self.step))

    def values(self) -> list[Value] | None:
        """Return all numbers, or None where there is no step."""
        return None if self.count is None else [self.number(i) for i in range(self.count)]

    def nearest(self, value: float) -> float:
        """Return the number of the span that is closest to another."""
        inside = min(max(value, self.low), self.high)
        if self.step is None or self.count is None:
            return float(inside)
        return self.number(min(round((inside - self.low) / self.step), self.count - 1))

    def at(self, unit: float) -> float:
        """Return the number at a place between 0 and 1."""
        low, high = self._ends()
        place = low + unit * (high - low)
        number = math.exp(place) if self.log else place
        # Half a step was added to either end, so that both are drawn as often as the others.
        return self.nearest(number)

    def unit(self, value: float) -> float:
        """Return the place of a number between 0 and 1."""
        low, high = self._ends()
        return ((math.log(value) if self.log else value) - low) / (high - low)

    def _ends(self) -> tuple[float, float]:
        half = 0.0 if self.step is None else self.step / 2
        low, high = self.low - half, self.high + half
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def setting(self, number: float) -> float:
        """Return what stands on a command line for a number."""
        return complement(number) if self.complement else number

    def __str__(self) -> str:
        if self.complement:
            low, high = complement(self.high), complement(self.low)
            return f"tag(complement,interval({low},{high}))"
        if self.step is None:
            told = f"interval({self.low},{self.high})"
        elif self.step == 1 and self.whole:
            told = f"int(interval({self.low},{self.high}))"
        else:
            told = f"{self.low} to {self.high} in steps of {self.step}"
        return f"tag(log,{told})" if self.log else told


@dataclass(frozen=True, slots=True)
class Categories:
    """Values without an order, as they stand on a command line."""

    texts: tuple[str, ...]

    def values(self) -> list[Value]:
        """Return all values."""
        return list(self.texts)

    def at(self, unit: float) -> str:
        """Return the value at a place between 0 and 1."""
        return self.texts[min(int(unit * len(self.texts)), len(self.texts) - 1)]

    def __str__(self) -> str:
        return ",".join(self.texts)


Axis: TypeAlias = Span | Categories
Space: TypeAlias = Mapping[str, Axis]


def lines(space: Space, point: Mapping[str, Value]) -> list[str]:
    """Return a point as settings of a command line; they stand for exactly the same numbers."""
    return [f"{key}={_text(space[key], value)}" for key, value in point.items()]


def _text(axis: Axis, value: Value) -> str:
    if isinstance(value, str):
        return value
    return repr(axis.setting(value) if isinstance(axis, Span) else value)


def nearest_point(space: Space, params: Mapping[str, Any]) -> Point:
    """Return a point of a space without the rounding errors that steps add up to."""
    return {
        key: axis.nearest(params[key]) if isinstance(axis, Span) else params[key]
        for key, axis in space.items()
    }


def combinations(space: Space) -> list[Point]:
    """Return every point of a space whose settings have a step each; raise ConfigError if many."""
    values: list[Sequence[Value]] = []
    for axis in space.values():
        assert isinstance(axis, Categories) or axis.step is not None
        values.append(axis.values() or ())
    limits.check_jobs([len(items) for items in values])
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


def near_one(low: float, high: float) -> Span:
    """Return the span of numbers below 1 on a log scale of what they lack to 1."""
    return Span(complement(high), complement(low), log=True, complement=True)


def complement(number: float) -> float:
    """Return 1 - number, without the rounding error of a number's last digit."""
    return float(1 - exact(number))


def exact(number: float) -> Decimal:
    """Return a number as it is written, and not the nearest one that a float can be."""
    return Decimal(repr(number))
