"""Who decides, while jobs of a sweep train, which of them are not worth going on with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Of a job's number, a step and the monitored metric after it: whether the job is given up.
Judge = Callable[[int, int, float], bool]

_judges: list[Judge] = []


@contextmanager
def judging(judge: Judge) -> Iterator[None]:
    """Let a judge see every evaluation of the jobs that train meanwhile in this process."""
    _judges.append(judge)
    try:
        yield
    finally:
        _judges.remove(judge)


def is_given_up(job: int, step: int, value: float) -> bool:
    """Tell the judge, if there is one, of an evaluation, and return its verdict."""
    verdicts = [judge(job, step, value) for judge in _judges]
    return any(verdicts)
