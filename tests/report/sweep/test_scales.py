"""Scales: the axis that fits some values, and that any value has a place on it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import EXTREMES, TEXTS

from experiments.report.sweep.scales import UNSET, Scale, number_of, thinned, written

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1e-4 1e-3 1e-2", "log"),
        ("0.001 0.01 0.1 0.2 0.3", "log"),
        ("0.001 1", "log"),
        ("0.001 0.002 0.003 0.01", "log"),
        ("1 4 7 10", "linear"),
        ("16 32 64", "log"),  # a factor apart, though less than 10 in all
        ("8 9 10", "linear"),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", "linear"),  # even steps
        ("0 0.1 0.5 0.9", "linear"),
        ("-1 1 100", "linear"),
        ("0.5", "linear"),
        ("0 1e-4 1e-3 1e-2", "rank"),
        ("true false", "text"),
        ("[64,64] [128]", "text"),
        ("null 1e-3 1e-2", "text"),
        ("nan 1 2", "text"),
    ],
)
def test_the_kind_follows_the_values(values: str, kind: str) -> None:
    assert Scale.of_setting(values.split()).kind == kind
    assert Scale.of_setting([*values.split(), ""]).kind == kind


def test_many_random_numbers_show_by_their_median_how_they_were_drawn() -> None:
    parts = [(k + 0.5) / 200 for k in range(200)]
    assert Scale.of_setting([str(part) for part in parts]).kind == "linear"
    assert Scale.of_setting([str(10 ** (-5 * part)) for part in parts]).kind == "log"


def test_numbers_are_sorted_as_numbers_and_texts_by_alphabet() -> None:
    assert Scale.of_setting(["128", "16", "64"]).values == ("16", "64", "128")
    assert Scale.of_setting(["sgd", "adam", ""]).values == (UNSET, "adam", "sgd")
    assert Scale.of_setting(["auto", "10", "9"]).values == ("9", "10", "auto")


def test_equal_numbers_have_one_place_however_written() -> None:
    scale = Scale.of_setting(["1e-3", "0.001", "1e-1", "0.01"])
    assert len(scale.values) == 3
    assert scale.indexes["1e-3"] == scale.indexes["0.001"] == 0
    assert [scale.place(text) for text in ("0.001", "0.01", "1e-1")] == pytest.approx([0, 0.5, 1])


def test_places_are_shares_of_the_axis() -> None:
    assert Scale.of_setting(["0", "1", "4"]).place("1") == 0.25
    assert Scale.of_setting(["a", "b", "c"]).place("b") == 0.5
    assert Scale.of_setting(["7"]).place("7") == 0.5
    assert Scale.of_setting(["1", "3", ""]).place("") < 0


def test_a_metric_is_log_where_a_loss_spans_much() -> None:
    loss = Scale.of_metric([1e-3, 0.1, 1.0], higher_is_better=False)
    assert loss.kind == "log"
    assert loss.at(1e-3) == 0
    assert loss.minor()
    assert Scale.of_metric([0.001, 0.5, 0.9], higher_is_better=True).kind == "linear"
    assert Scale.of_metric([0.0, 0.1, 1.0], higher_is_better=False).kind == "linear"


def test_a_metric_is_cut_at_its_worse_end_only() -> None:
    losses = Scale.of_metric([0.1, 0.2, 0.3, 1e30], higher_is_better=False)
    assert losses.high < 1e5
    assert losses.at(1e30) == 1
    r2 = Scale.of_metric([-1e9, 0.5, 0.8, 0.9], higher_is_better=True)
    assert -100 < r2.low < 0
    rare = Scale.of_metric([0.1] * 50 + [0.99], higher_is_better=True)
    assert (rare.low, rare.high) == (0.1, 0.99)


def test_ticks_are_round_and_on_the_axis() -> None:
    ticks = Scale.of_metric([0.512, 0.97], higher_is_better=True).ticks
    assert [label for _, label in ticks] == ["0.6", "0.7", "0.8", "0.9"]
    decades = Scale.of_setting([repr(10 ** (-k / 3)) for k in range(15)]).ticks
    assert [label for _, label in decades] == ["1e-4", "0.001", "0.01", "0.1", "1"]


@given(st.lists(st.sampled_from(EXTREMES) | finite, max_size=6), st.booleans())
def test_any_metric_has_an_axis(values: list[float], higher_is_better: bool) -> None:
    scale = Scale.of_metric(values, higher_is_better=higher_is_better)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place, _ in scale.ticks)
    assert all(0 <= scale.at(value) <= 1 for value in values if math.isfinite(value))
    assert len(scale.ticks) < 20
    assert all(0 <= place <= 1 for place in scale.minor())


@given(st.lists(st.sampled_from(TEXTS) | finite.map(repr) | st.text(), max_size=12))
def test_any_setting_has_an_axis(texts: list[str]) -> None:
    scale = Scale.of_setting(texts)
    assert all(-0.2 < scale.place(text) <= 1 for text in texts)
    assert all(-0.2 < place <= 1 + 1e-9 for place, _ in scale.ticks)
    assert all(scale.indexes[text] < len(scale.values) for text in texts)
    known = [text for text in texts if number_of(text) is not None]
    if scale.kind != "text":
        places = [scale.place(text) for text in sorted(known, key=float)]
        assert places == sorted(places)


def test_ticks_too_close_are_left_out() -> None:
    assert thinned([(0.5, "c"), (0.0, "a"), (0.1, "b")], 0.2) == [(0.0, "a"), (0.5, "c")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.93218, "0.9322"), (1e-4, "1e-4"), (0.000123456, "1.23e-4"), (1e6, "1e6")],
)
def test_numbers_are_written_short(value: float, text: str) -> None:
    assert written(value) == text
