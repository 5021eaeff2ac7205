"""L-BFGS: against torch's, on functions whose minimum is known, and its line search by itself."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from descents import descend, distance, given
from hypothesis import given as drawn
from hypothesis import strategies as st
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from plugins.optimizer._wolfe import Point, search

SIZE = 12
BASIS = torch.linalg.qr(numbers(SIZE, SIZE, seed=1)).Q
HESSIAN = BASIS @ torch.logspace(-1, 1, SIZE, dtype=torch.float64).diag() @ BASIS.T
Loss = Callable[[Tensor], Tensor]


def quadratic(point: Tensor) -> Tensor:
    hessian = HESSIAN.to(point)
    return point @ hessian @ point / 2


def convex(point: Tensor) -> Tensor:
    """Return a smooth loss that is no quadratic, with its minimum at 0."""
    return quadratic(point) + (point / 2).cosh().log().sum()


def rosenbrock(point: Tensor) -> Tensor:
    x, y = point
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def ours(loss: Loss, start: Tensor, steps: int, **fields: Any) -> tuple[Tensor, int]:
    """Return the path, and the gradients computed beside one a step."""
    params = params_of([tensors_only(weights=start.clone())], start.dtype)
    path, memory = descend(
        rule_of(params, given("optimizer", "lbfgs", **fields)), params, loss, steps
    )
    return path, int(memory["cost"]["gradient"])


def theirs(loss: Loss, start: Tensor, steps: int, history: int = 10) -> Tensor:
    point = start.clone().requires_grad_()
    torchs = torch.optim.LBFGS(
        [point], 1.0, max_iter=1, max_eval=99, history_size=history,
        tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        torchs.zero_grad()
        value = loss(point)
        value.backward()
        return value

    path = [start]
    for _ in range(steps):
        torchs.step(closure)
        path.append(point.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("history", [3, 10])
@pytest.mark.parametrize("loss", [quadratic, convex])
def test_lbfgs_is_torchs(loss: Loss, history: int) -> None:
    start = numbers(SIZE, seed=9)
    wanted = theirs(loss, start, 12, history)
    path, _ = ours(loss, start, 12, history=history)
    assert distance(path, wanted) <= 1e-10
    single, _ = ours(loss, start.float(), 12, history=history)
    assert single.dtype == torch.float32
    assert distance(single.double(), wanted) <= 1e-4  # each step amplifies the error of the last


def test_a_quadratic_ends_after_about_as_many_steps_as_it_has_dimensions() -> None:
    path, gradients = ours(quadratic, numbers(SIZE, seed=9), 3 * SIZE, history=SIZE)
    assert quadratic(path[-1]) < 1e-12 * quadratic(path[0])
    assert gradients <= 4 * SIZE


@pytest.mark.parametrize("start", [(-0.5, 1.5), (-1.2, 1.0), (4.0, -3.0)])
def test_rosenbrocks_valley_is_followed_to_its_end(start: tuple[float, float]) -> None:
    path, _ = ours(rosenbrock, torch.tensor(start, dtype=torch.float64), 60)
    torch.testing.assert_close(path[-1], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-8)
    losses = torch.stack([rosenbrock(point) for point in path])
    assert (losses.diff() <= 0).all()


def test_at_the_minimum_it_stays_where_it_is() -> None:
    path, _ = ours(convex, torch.zeros(SIZE, dtype=torch.float64), 3)
    assert path.eq(0).all()


def test_a_loss_that_is_not_finite_beyond_a_place_is_kept_away_from() -> None:
    path, _ = ours(lambda x: (x - x.log()).sum(), torch.full((3,), 0.01, dtype=torch.float64), 30)
    torch.testing.assert_close(path[-1], torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)


def along(
    function: Callable[[float], tuple[float, float]], first: float
) -> tuple[Point, Point, int]:
    """Return the start, what is found, and how many points were looked at."""
    looks: list[float] = []

    def look(length: float) -> Point:
        looks.append(length)
        return Point(length, *function(length))

    start = Point(0, *function(0))
    return start, search(look, start, first), len(looks)


@drawn(st.floats(1e-3, 1e3), st.floats(0.1, 30), st.floats(-0.3, 0.3), st.floats(1e-4, 1e4))
def test_a_search_ends_where_both_conditions_hold(
    curvature: float, frequency: float, waves: float, first: float
) -> None:
    def function(x: float) -> tuple[float, float]:
        loss = (x - 1) ** 2 / 2 + waves / frequency * math.sin(frequency * x)
        return curvature * loss, curvature * (x - 1 + waves * math.cos(frequency * x))

    start, found, looks = along(function, first)
    assert found.loss <= start.loss + 1e-4 * found.length * start.slope
    assert abs(found.slope) <= -0.9 * start.slope
    assert looks <= 25


def test_a_search_down_a_slope_without_end_goes_far() -> None:
    _, found, looks = along(lambda x: (-x, -1.0), 1.0)
    assert found.length > 1e6
    assert looks <= 25


def test_a_search_where_nothing_is_lower_ends_at_the_start() -> None:
    for function in (lambda x: (abs(x), -1.0), lambda x: (math.inf if x else 1.0, -1.0)):
        start, found, looks = along(function, 1.0)
        assert found == start
        assert looks <= 25
