"""This program as it is by default."""

from benchmarks import whole_runner
from benchmarks.data import Data
from benchmarks.work import Take, Work


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    return whole_runner.take(work, data)
