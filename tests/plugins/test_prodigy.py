"""Prodigy: against the authors' package, and what its estimate of the distance is."""

import pytest
import torch
from descents import ORIGIN, START, Gradient, distance, fixed, given, ours, quadratic, theirs
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor

NUMBERS = {"lr": 0.5, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3, "d0": 1e-3}


def authors(gradient: Gradient, start: Tensor = START, **fields: float) -> Tensor:
    package = pytest.importorskip("prodigyopt", reason="the authors' package is not installed")
    values = {"lr": 1.0, "beta1": 0.9, "beta2": 0.999, **fields}
    betas = values.pop("beta1"), values.pop("beta2")
    return theirs(
        lambda parts: package.Prodigy(parts, betas=betas, **values), gradient, start=start
    )


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("fields", [{}, NUMBERS], ids=["by default", "with much decay"])
def test_prodigy_is_the_authors(gradient: Gradient, fields: dict[str, float]) -> None:
    path = ours(given("optimizer", "prodigy", **fields), gradient)
    assert distance(path, authors(gradient, **fields)) <= 1e-10


def test_prodigy_in_float32_keeps_float32s_digits() -> None:
    path = ours(given("optimizer", "prodigy", **NUMBERS), fixed(1), start=ORIGIN)
    assert path.dtype == torch.float32
    assert distance(path.double(), authors(fixed(1), ORIGIN.double(), **NUMBERS)) <= 5e-6


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_the_rate_comes_near_the_distance_to_go_whatever_the_gradients_size(size: float) -> None:
    centre = numbers(9, seed=3)
    params = params_of([tensors_only(weights=torch.zeros(9, dtype=torch.float64))])
    rule = rule_of(params, given("optimizer", "prodigy"))
    path = follow(rule, params, lambda _, point: size * (point - centre), 300)
    assert (path[-1] - centre).norm() < 0.05 * centre.norm()


def test_gradients_of_zero_leave_everything_where_it_is() -> None:
    path = ours(given("optimizer", "prodigy"), lambda _, point: torch.zeros_like(point))
    assert path.eq(START).all()
