"""Numbers with limits: a field declares them, the configuration checks them."""

import dataclasses
import math
import operator
from collections.abc import Mapping
from typing import Any

LARGEST = 2**63 - 1  # whole number that torch takes
_LIMITS = {
    "above": (operator.gt, ">"),
    "at_least": (operator.ge, ">="),
    "below": (operator.lt, "<"),
    "at_most": (operator.le, "<="),
}


def number(
    default: Any = dataclasses.MISSING,
    *,
    lanes: bool = False,
    repeats: bool = False,
    metadata: Mapping[str, Any] | None = None,
    **limits: float,
) -> Any:
    """Declare a dataclass field whose value, or whose list's every item, stays within limits.

    The limits are `above`, `at_least`, `below` and `at_most`. `None` stands for "not set" and is
    within every limit; NaN and infinity are within none, nor is in any field a whole number of more
    than 64 bits. `lanes` says of a loss's number that it
    enters by arithmetic, of a model's that it changes values of tensors alone: runs that differ in
    it may train together. With `repeats` runs that differ in it alone are repetitions, of which a
    sweep shows the mean. More `metadata` is the owner's business.
    """
    assert limits.keys() <= _LIMITS.keys(), f"unknown limit in {sorted(limits)}"
    metadata = {"limits": limits, "lanes": lanes, "repeats": repeats, **(metadata or {})}
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
