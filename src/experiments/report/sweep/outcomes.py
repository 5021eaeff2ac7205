"""What a sweep's page shows of its jobs, and in which groups and under which names."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

LARGEST = 1e250  # a value drawn: differences and sums of a few must still be a float64


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One job: the swept settings as text, those that only repeat it in `repeat`, and its end.

    `status` is finished, diverged, pruned, failed or unfinished; `value` the best of the monitored
    metric, NaN where there is none; `curve` the metric at each step that had an evaluation.
    """

    settings: dict[str, str]
    repeat: dict[str, str]
    status: str
    value: float
    curve: Sequence[tuple[int, float]]

    @property
    def is_scored(self) -> bool:
        """Whether the job counts by its value: it finished, and the value can be drawn."""
        return self.status == "finished" and is_drawn(self.value)

    @property
    def ending(self) -> str:
        """Say in a word why there is no value to count."""
        return self.status if self.status != "finished" else "no value"


def is_drawn(value: float) -> bool:
    """Say whether a value has a place on an axis: it is finite, and far from overflow."""
    return math.isfinite(value) and abs(value) <= LARGEST


def swept(outcomes: Iterable[Outcome]) -> list[str]:
    """Name the settings of all jobs, in their first order."""
    return list(dict.fromkeys(key for outcome in outcomes for key in outcome.settings))


def repeated_over(outcomes: Iterable[Outcome]) -> str:
    """Name what repetitions differ in: seeds, folds, or several such."""
    keys = list(dict.fromkeys(key for outcome in outcomes for key in outcome.repeat))
    return " and ".join(f"{name}s" for name in short_names(keys).values()) or "jobs"


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each setting's last part (`lr` of `optimizer.lr`), or all of it where two share it."""
    last = {key: key.rpartition(".")[2] or key for key in keys}
    count = Counter(last.values())
    return {key: name if count[name] == 1 else key for key, name in last.items()}


def ranked(outcomes: Sequence[Outcome], *, higher_is_better: bool) -> list[list[Outcome]]:
    """Group the jobs that are repetitions of one, and sort the groups, best median first."""
    groups: dict[frozenset[tuple[str, str]], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(frozenset(outcome.settings.items()), []).append(outcome)
    sign = -1 if higher_is_better else 1

    def worth(group: Sequence[Outcome]) -> float:
        # A lost job is worse than any other, so a group gains nothing by losing its bad seeds.
        return median(sign * one.value if one.is_scored else math.inf for one in group)

    return sorted(groups.values(), key=worth)


def lost_rows(outcomes: Iterable[Outcome], *, higher_is_better: bool) -> dict[str, float]:
    """Give each way to end without a value a place beyond the worse end of an axis from 0 to 1."""
    order = ("diverged", "failed", "unfinished", "pruned", "no value")
    found = {outcome.ending for outcome in outcomes if not outcome.is_scored}
    names = [*(name for name in order if name in found), *sorted(found - set(order))]
    gaps = {name: 0.08 * (row + 1) for row, name in enumerate(names)}
    return {name: -gap if higher_is_better else 1 + gap for name, gap in gaps.items()}
