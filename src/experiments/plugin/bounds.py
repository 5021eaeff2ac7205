"""Numbers with limits: a field declares them, the configuration checks them."""

import dataclasses
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LARGEST = 2**63 - 1  # whole number that torch takes
_LIMITS = {
    "above": (operator.gt, ">"),
    "at_least": (operator.ge, ">="),
    "below": (operator.lt, "<"),
    "at_most": (operator.le, "<="),
}


@dataclass(frozen=True, slots=True)
class Range:
    """Where a search looks for a number: from `low` to `high`, by a scale, and who says so.

    Each magnitude is as likely as another on a `log` scale, and by `complement` each magnitude of
    1 - number: it is for averages, where 0.9, 0.99 and 0.999 are evenly spaced.
    """

    low: float
    high: float
    scale: Literal["linear", "log", "complement"]
    source: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for ends that the scale does not have."""
        wrong = {"log": self.low <= 0, "complement": self.high >= 1}.get(self.scale, False)
        if wrong or self.low >= self.high:
            limit = {"log": " above 0", "complement": " below 1"}.get(self.scale, "")
            ends = f"{self.low:g} to {self.high:g}"
            raise ValueError(f"the range {ends} must go from a lower to a higher number{limit}")


def log_range(low: float, high: float, source: str = "") -> Range:
    """Look for a number on a log scale; both ends are above 0."""
    return Range(low, high, "log", source)


def complement_range(low: float, high: float, source: str = "") -> Range:
    """Look for a number below 1 on a log scale of 1 - number: `low` and `high` are the number's."""
    return Range(low, high, "complement", source)


def linear_range(low: float, high: float, source: str = "") -> Range:
    """Look for a number evenly between two others."""
    return Range(low, high, "linear", source)


def number(
    default: Any = dataclasses.MISSING,
    *,
    space: Range | None = None,
    first_step: bool = False,
    lanes: bool = False,
    repeats: bool = False,
    metadata: Mapping[str, Any] | None = None,
    **limits: float,
) -> Any:
    """Declare a dataclass field whose value, or whose list's every item, stays within limits.

    The limits are `above`, `at_least`, `below` and `at_most`. `None` stands for "not set" and is
    within every limit; NaN and infinity are within none, nor is in any field a whole number of more
    than 64 bits. `space` is where a search looks for it (`hydra.sweeper.space=rule`).
    `first_step` says of a rule's number that it does nothing before that step. `lanes` says of a
    loss's number that it enters by arithmetic, of a model's that it changes values of tensors
    alone: runs that differ in it may train together. With `repeats` runs that differ in it alone
    are repetitions, of which a sweep shows the mean. More `metadata` is the owner's business.
    Raises ValueError for a space that leaves the limits.
    """
    assert limits.keys() <= _LIMITS.keys(), f"unknown limit in {sorted(limits)}"
    for end in (space.low, space.high) if space else ():
        if wanted := _wanted(end, limits):
            raise ValueError(f"the space of a number reaches {end:g}, which must be {wanted}")
    own = {"limits": limits, "space": space, "first_step": first_step, "lanes": lanes}
    metadata = {**own, "repeats": repeats, **(metadata or {})}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def problem(field: dataclasses.Field[Any], value: Any) -> str | None:
    """Say what a field's value should have been, or None where it is within its limits."""
    limits: dict[str, float] = field.metadata.get("limits", {})
    items = value if isinstance(value, (list, tuple)) else [value]
    wanted = next(filter(None, (_wanted(item, limits) for item in items)), None)
    if wanted is None:
        return None
    return f"must be {wanted}" if items is not value else f"every item must be {wanted}"


def _wanted(value: Any, limits: dict[str, float]) -> str | None:
    """Say what a number should have been, or None."""
    if limits and isinstance(value, float) and not math.isfinite(value):
        return "finite"
    kept = (_LIMITS[name][0](value, limit) for name, limit in limits.items())
    if value is not None and not all(kept):
        return " and ".join(f"{_LIMITS[name][1]} {limit:g}" for name, limit in limits.items())
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"at most {LARGEST}" if value > 0 else f"at least -{LARGEST}"
    return None
