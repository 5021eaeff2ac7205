"""Trials that are several jobs each, which differ in seed or fold: judged and told by the mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from experiments.config import schema
from experiments.runs.result import Result, Status
from experiments.sweeps.search.space import Space, combinations, lines

# Of a trial's number, a step and its value after it: whether the trial is given up.
Report = Callable[[int, int, float], bool]


def taken_apart(space: Space) -> tuple[Space, list[list[str]]]:
    """Return what is searched of a space, and the settings of each repetition of a trial.

    A search over seeds is one over luck, which may be what is asked for.
    """
    countable = [key for key, axis in space.items() if axis.values() is not None]
    again = [key for key in countable if key != "seed" and schema.is_repeat(key)]
    rest = {key: axis for key, axis in space.items() if key not in again}
    repeated = {key: space[key] for key in again}
    return rest, [lines(repeated, point) for point in combinations(repeated)]


def combined(results: Sequence[Result]) -> tuple[float, str]:
    """Return the mean value of a trial's jobs, and how it ended: as the worst of them."""
    worst = {one.status for one in results}
    order = (Status.unfinished, Status.failed, Status.diverged, Status.pruned)
    status = next((status for status in order if status in worst), Status.finished)
    return fmean(one.value for one in results), status


class Judge:
    """Report a trial when all its jobs have had a step, with the mean of their values.

    `trials` has the number of its trial for each job's number.
    """

    def __init__(self, report: Report, trials: Mapping[int, int], *, repeats: int) -> None:
        self._report = report
        self._trials = trials
        self._repeats = repeats
        self._values: defaultdict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        self._given_up: set[int] = set()

    def __call__(self, job: int, step: int, value: float) -> bool:
        number = self._trials[job]
        if number in self._given_up:
            return True
        values = self._values[number, step]
        values[job] = value
        if len(values) == self._repeats and self._report(number, step, fmean(values.values())):
            self._given_up.add(number)
        return number in self._given_up
