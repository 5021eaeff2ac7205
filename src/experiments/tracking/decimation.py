"""Which points of a long series are sent to MLflow.

A database of a million points a metric is slow, and nobody sees them: a chart shows 2,500. The rule
counts a metric's points in the journal's order, so that sending again picks the same ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

DENSE = 2500  # points of a metric before the first is left out
OF_MANY = 100  # the same of a sweep's job, one of many curves in a chart
Point = tuple[str, int, float, int]  # name, step, value, milliseconds since 1970


def stride(n: int, dense: int = DENSE) -> int:
    """Return how many points there are to one that is sent, at the n-th point, counted from 0.

    After the first `dense` it doubles whenever their number has: a million points leave 13,204.
    """
    return 1 << (n // dense).bit_length()


@dataclass(slots=True)
class Decimation:
    """How many points each metric has had, and its last one where that was left out."""

    counts: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, tuple[int, float, int]] = field(default_factory=dict)
    dense: int = DENSE

    def takes(self, point: Point) -> bool:
        """Count a point, and say whether it is sent."""
        name, step, value, time = point
        n = self.counts.get(name, 0)
        self.counts[name] = n + 1
        if n % stride(n, self.dense):
            self.left_out[name] = (step, value, time)
            return False
        self.left_out.pop(name, None)
        return True

    def last(self) -> Iterator[Point]:
        """Yield the last point of each metric that was not sent, for the end of a run."""
        for name, (step, value, time) in self.left_out.items():
            yield name, step, value, time
