"""Trials that are several jobs each, which differ in their seed: judged and told by the mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from experiments.runs.result import Result, Status

# Of a trial's number, a step and its value after it: whether the trial is given up.
Report = Callable[[int, int, float], bool]


def combined(results: Sequence[Result]) -> tuple[float, str]:
    """Return the mean value of a trial's jobs, and how it ended: as the worst of them."""
    worst = {one.status for one in results}
    order = (Status.unfinished, Status.failed, Status.diverged, Status.pruned)
    status = next((status for status in order if status in worst), Status.finished)
    return fmean(one.value for one in results), status


class Judge:
    """Report a trial when all its jobs have had a step, with the mean of their values.

    The jobs of the trials are numbered from `first`, those of a trial one after the other.
    """

    def __init__(self, report: Report, trials: Sequence[int], *, first: int, repeats: int) -> None:
        self._report = report
        self._numbers = list(trials)
        self._first = first
        self._repeats = repeats
        self._values: defaultdict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self._given_up: set[int] = set()

    def __call__(self, job: int, step: int, value: float) -> bool:
        place, repeat = divmod(job - self._first, self._repeats)
        number = self._numbers[place]
        if number in self._given_up:
            return True
        values = self._values[number, step]
        values[repeat] = value
        if len(values) == self._repeats and self._report(number, step, fmean(values.values())):
            self._given_up.add(number)
        return number in self._given_up
