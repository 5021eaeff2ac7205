"""Decimation: the same points are sent however often, and the last always is."""

import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.tracking.decimation import Decimation, Point, stride


def points(names: list[str]) -> list[Point]:
    """Return a point for each name, in this order."""
    return [(name, step, float(step), 1000 + step) for step, name in enumerate(names)]


def sent(decimation: Decimation, given_points: list[Point]) -> list[Point]:
    """Return what is sent of points before the end of the run."""
    return [point for point in given_points if decimation.takes(point)]


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, 1), (2499, 1), (2500, 2), (4999, 2), (5000, 4), (10_000, 8), (999_999, 512)],
)
def test_the_stride_doubles_with_the_number(n: int, expected: int) -> None:
    assert stride(n) == expected


@pytest.mark.parametrize(("length", "most"), [(2500, 2500), (300_000, 11_500), (10**6, 13_500)])
def test_a_long_series_leaves_about_ten_thousand_points(length: int, most: int) -> None:
    count = sum(n % stride(n) == 0 for n in range(length))
    assert min(length, 2500) <= count <= most


def test_gaps_grow_with_the_place_and_stay_below_its_1250th_part() -> None:
    kept = [n for n in range(100_000) if n % stride(n) == 0]
    gaps = [(after - before) / max(before, 1250) for before, after in pairwise(kept)]
    assert max(gaps) <= 2 / 1250


@st.composite
def cut_series(draw: Any) -> tuple[list[Point], list[int]]:
    """Draw a long series of two metrics, and where uploading it is cut off."""
    length = draw(st.integers(0, 9000))
    second = draw(st.integers(1, 50))  # how seldom the other metric comes
    names = ["b" if n % second == 0 else "a" for n in range(length)]
    cuts = draw(st.lists(st.integers(0, length), max_size=5))
    return points(names), sorted(cuts)


@given(cut_series())
def test_what_is_sent_does_not_depend_on_how_often_it_is_cut_off(
    drawn: tuple[list[Point], list[int]],
) -> None:
    series, cuts = drawn
    whole = Decimation()
    expected = sent(whole, series)
    kept, found, first = Decimation(), [], 0
    for cut in cuts:
        lost = copy.deepcopy(kept)  # went on to somewhere, and was not kept
        sent(lost, series[first : first + 77])
        found += sent(kept, series[first:cut])
        first = cut
    found += sent(kept, series[first:])
    assert found == expected
    assert kept == whole


@given(cut_series())
def test_the_last_point_of_each_metric_is_sent_at_the_end(
    drawn: tuple[list[Point], list[int]],
) -> None:
    series, _ = drawn
    decimation = Decimation()
    taken = sent(decimation, series)
    at_end = taken + list(decimation.last())
    last = {point[0]: point for point in series}
    assert set(last.values()) <= set(at_end)
    assert len(at_end) == len(set(at_end))
    assert set(at_end) <= set(series)
