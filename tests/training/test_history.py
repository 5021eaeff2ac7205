"""Which evaluation is the best, and when training stops early."""

import math

import pytest

from experiments.settings import EarlyStopping
from experiments.training.history import History


def _history(*, higher: bool = True, **rules: float) -> History:
    early_stopping = EarlyStopping(**rules)  # type: ignore[arg-type]
    return History(monitor="val/it", higher_is_better=higher, early_stopping=early_stopping)


def _judge(history: History, values: list[float]) -> list[bool]:
    return [history.judge(step, {"val/it": v}) for step, v in enumerate(values, start=1)]


@pytest.mark.parametrize(
    ("higher", "values", "better", "best_step"),
    [
        (True, [0.5, 0.7, 0.6, 0.7], [True, True, False, False], 2),
        (False, [0.5, 0.7, 0.4, 0.4], [True, False, True, False], 3),
        (True, [math.nan, 0.1, math.nan], [False, True, False], 2),
        (False, [math.nan, math.inf, 3.0], [False, True, True], 3),
    ],
)
def test_the_first_of_the_best_evaluations_is_the_best(
    higher: bool, values: list[float], better: list[bool], best_step: int
) -> None:
    history = _history(higher=higher)
    assert _judge(history, values) == better
    assert history.best_step == best_step


def test_the_best_and_the_last_evaluation_keep_all_their_values() -> None:
    history = _history()
    history.judge(10, {"val/it": 0.9, "val/loss": 0.2})
    history.judge(20, {"val/it": 0.8, "val/loss": 0.1})
    assert history.best == {"val/it": 0.9, "val/loss": 0.2}
    assert history.last == {"val/it": 0.8, "val/loss": 0.1}
    assert history.curves["val/loss"] == [(10, 0.2), (20, 0.1)]


def test_curves_keep_their_points_in_order() -> None:
    history = _history()
    for step in (1, 2, 5):
        history.add(step, {"train/loss": 1 / step})
    assert history.curves == {"train/loss": [(1, 1.0), (2, 0.5), (5, 0.2)]}


def test_nothing_stops_training_without_rules() -> None:
    history = _history()
    for step, value in enumerate([0.5] * 20):
        history.judge(step, {"val/it": value})
        assert history.stop() is None


@pytest.mark.parametrize(("higher", "value"), [(True, 0.9), (True, 0.95), (False, 0.9)])
def test_a_value_as_good_as_the_target_stops_training(higher: bool, value: float) -> None:
    history = _history(higher=higher, target=0.9)
    _judge(history, [value])
    assert history.stop() == "val/it reached 0.9"


@pytest.mark.parametrize(("higher", "value"), [(True, 0.89), (False, 0.91), (True, math.nan)])
def test_a_value_worse_than_the_target_does_not_stop_training(higher: bool, value: float) -> None:
    history = _history(higher=higher, target=0.9)
    _judge(history, [value])
    assert history.stop() is None


def test_patience_counts_evaluations_since_the_last_better_one() -> None:
    history = _history(patience=2)
    stops = []
    for step, value in enumerate([0.5, 0.4, 0.6, 0.6, 0.5]):
        history.judge(step, {"val/it": value})
        stops.append(history.stop())
    assert stops == [None, None, None, None, "val/it was not better for 2 evaluations"]


def test_gains_below_min_delta_add_up_and_the_best_is_kept_all_the_same() -> None:
    history = _history(patience=2, min_delta=0.1)
    _judge(history, [0.5, 0.58, 0.65])  # the third is 0.15 above the reference
    assert history.stop() is None
    assert history.best_step == 3
    _judge(history, [0.7, 0.72])
    assert history.stop() is not None
    assert history.best["val/it"] == 0.72
