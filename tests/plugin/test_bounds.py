"""Numbers with limits: what is within them, and what is said where a value is not."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.plugin.bounds import (
    Range,
    complement_range,
    linear_range,
    log_range,
    number,
    problem,
)


@dataclasses.dataclass(kw_only=True)
class Example:
    """Has a field with each limit."""

    plain: float = number(0.5)
    rate: float = number(0.1, at_least=0, below=1)
    positive: float = number(1.0, above=0, at_most=10)
    optional: int | None = number(None, at_least=1)
    several: list[int] = number([1, 2], at_least=1)  # noqa: RUF009 - it makes a field
    required: int = number(at_least=1)


FIELDS = {field.name: field for field in dataclasses.fields(Example)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("rate", value) for value in (0, 0.0, 0.5, 0.999)],
        *[("positive", value) for value in (1e-300, 10, 10.0)],
        *[("optional", value) for value in (None, 1)],
        ("optional", 2**63 - 1),
        *[("several", value) for value in ([], [1], [1, 10**9], (3,))],
        *[("plain", value) for value in (-1e300, math.nan, math.inf)],
    ],
)
def test_a_value_within_its_limits_is_no_problem(name: str, value: Any) -> None:
    assert problem(FIELDS[name], value) is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *[("rate", v, "must be >= 0 and < 1") for v in (-1e-9, 1, 1.0)],
        *[("positive", v, "must be > 0 and <= 10") for v in (0, -0.0, 10.1)],
        *[("positive", v, "must be finite") for v in (math.nan, math.inf, -math.inf)],
        *[("optional", 10**n, "must be at most 9223372036854775807") for n in (19, 400)],
        *[("optional", v, "must be >= 1") for v in (0, -5)],
        *[("several", v, "every item must be >= 1") for v in ([0], [3, 0])],
        ("several", (1, math.inf), "every item must be finite"),
        ("required", 0, "must be >= 1"),
    ],
)
def test_a_value_outside_is_told_what_it_must_be(name: str, value: Any, said: str) -> None:
    assert problem(FIELDS[name], value) == said


@given(st.floats())
def test_a_value_is_a_problem_exactly_outside_its_limits(value: float) -> None:
    assert (problem(FIELDS["rate"], value) is None) == (0 <= value < 1)
    assert (problem(FIELDS["positive"], value) is None) == (0 < value <= 10)


def test_a_list_is_not_shared_between_objects() -> None:
    one, other = Example(required=1), Example(required=1)
    one.several.append(3)
    assert other.several == [1, 2]


def test_a_field_without_a_default_is_required() -> None:
    with pytest.raises(TypeError, match="required"):
        Example()  # type: ignore[call-arg]


def test_an_unknown_limit_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="atleast"):
        number(1, atleast=0)


def test_a_space_lies_within_its_numbers_limits() -> None:
    number(0.9, at_least=0, below=1, space=complement_range(0.9, 0.999))
    with pytest.raises(ValueError, match=r"reaches 1, which must be >= 0 and < 1"):
        number(0.9, at_least=0, below=1, space=linear_range(0, 1))


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [(log_range, 0, 1), (log_range, 2, 1), (complement_range, 0.9, 1), (linear_range, 1, 1)],
)
def test_a_range_has_ends_that_its_scale_has(
    make: Callable[[float, float], Range], low: float, high: float
) -> None:
    with pytest.raises(ValueError, match=f"the range {low:g} to {high:g} must go from"):
        make(low, high)
