"""A line search for the strong Wolfe conditions."""

import math
from collections.abc import Callable
from typing import NamedTuple

_DECREASE, _CURVATURE = 1e-4, 0.9  # for directions of Newton's kind
_MOST = 25  # points that are looked at
_NARROW = 1e-9  # of a length


class Point(NamedTuple):
    """A place on the line: the length of the step to it, and loss and slope there."""

    length: float
    loss: float
    slope: float


def search(look: Callable[[float], Point], start: Point, length: float) -> Point:
    """Return a point with less loss and a flatter slope than the start (length 0, slope < 0).

    Nocedal & Wright, Numerical Optimization (2006), algorithms 3.5 (until there is a `high`) and
    3.6. A loss that is not finite counts as too high. Where there is no such point, the lowest that
    was seen is returned, at last the start.
    """
    before, low = start, start
    high: Point | None = None
    for _ in range(_MOST):
        here = look(length)
        enough = here.loss <= start.loss + _DECREASE * length * start.slope
        if not enough or (here.loss >= low.loss and low is not start):
            high = here
        elif abs(here.slope) <= -_CURVATURE * start.slope:
            return here
        else:
            rises = here.slope * (high.length - low.length if high else 1) >= 0
            high = low if rises else high
            before, low = low, here
        if high is None:
            length = _beyond(before, low)
        elif abs(high.length - low.length) > _NARROW * length:
            length = _within(low, high)
        else:
            break
    return low


def _within(low: Point, high: Point) -> float:
    """Return a length between two points, a tenth of their distance away from both."""
    shorter, longer = sorted((low.length, high.length))
    margin, found = 0.1 * (longer - shorter), _lowest(low, high)
    if math.isnan(found):
        return (shorter + longer) / 2
    return min(max(found, shorter + margin), longer - margin)


def _beyond(before: Point, last: Point) -> float:
    """Return a length after the last of two points, at most ten times it."""
    least, most = last.length + 0.01 * (last.length - before.length), 10 * last.length
    found = _lowest(before, last)
    return most if math.isnan(found) else min(max(found, least), most)


def _lowest(one: Point, other: Point) -> float:
    """Return where the cubic through two points is lowest (equation 3.59), NaN for nowhere."""
    width = other.length - one.length
    a = one.slope + other.slope - 3 * (other.loss - one.loss) / width
    square = a * a - one.slope * other.slope
    root = math.copysign(math.sqrt(square), width) if square >= 0 else math.nan
    share = other.slope - one.slope + 2 * root
    return other.length - width * (other.slope + root - a) / share if share else math.nan
