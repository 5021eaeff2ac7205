"""Numbers with limits: a field declares them, the configuration checks them."""

import dataclasses
import math
import operator
from collections.abc import Mapping
from typing import Any

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
    metadata: Mapping[str, Any] | None = None,
    **limits: float,
) -> Any:
    """Declare a dataclass field whose value, or whose list's every item, stays within limits.

    The limits are `above`, `at_least`, `below` and `at_most`. `None` stands for "not set" and is
    within every limit; NaN and infinity are within none. `lanes` says of a loss's number that it
    enters by arithmetic, of a model's that it changes values of tensors alone: runs that differ in
    it may train together. More `metadata` is the owner's business.
    """
    assert limits.keys() <= _LIMITS.keys(), f"unknown limit in {sorted(limits)}"
    metadata = {"limits": limits, "lanes": lanes, **(metadata or {})}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def problem(field: dataclasses.Field[Any], value: Any) -> str | None:
    """Say what a field's value should have been, or None where it is within its limits."""
    limits: dict[str, float] = field.metadata.get("limits", {})
    items = value if isinstance(value, (list, tuple)) else [value]
    if not limits or all(item is None or _within(item, limits) for item in items):
        return None
    wanted = " and ".join(f"{_LIMITS[name][1]} {limit:g}" for name, limit in limits.items())
    return f"must be {wanted}" if items is not value else f"every item must be {wanted}"


def _within(value: float, limits: dict[str, float]) -> bool:
    kept = all(_LIMITS[name][0](value, limit) for name, limit in limits.items())
    # A whole number may be too large for a float, and is finite all the same.
    return kept and (isinstance(value, int) or math.isfinite(value))
