"""What is known of rules in closed form: rates on a bowl, and what leaves steps as they are."""

import math
from dataclasses import fields

import hypothesis
import pytest
import torch
from descents import SIZE, STEPS, fixed, given, ours, quadratic
from hypothesis import strategies as st
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import Optimizer, plugins

SMALLEST, LARGEST = 0.5, 5.0  # curvatures of a bowl
RATIO = LARGEST / SMALLEST


def errors(optimizer: Optimizer, curvatures: list[float], steps: int = STEPS) -> Tensor:
    """Return the distances [steps + 1, N] from the minimum of a bowl, from 1 on."""
    bends = torch.tensor(curvatures, dtype=torch.float64)
    params = params_of([tensors_only(weights=torch.ones(len(bends), dtype=torch.float64))])
    return follow(rule_of(params, optimizer), params, lambda _, point: bends * point, steps)


@hypothesis.given(st.floats(0.01, 100), st.floats(0.01, 1.99))
@hypothesis.settings(max_examples=15)
def test_gradient_descent_shrinks_below_2_over_its_curvature(bend: float, share: float) -> None:
    path = errors(given("optimizer", "sgd", lr=share / bend), [bend], 20)
    torch.testing.assert_close(path[-1:].abs(), path.new_tensor([[abs(1 - share) ** 20]]))


@pytest.mark.parametrize("share", [0.999, 1.0, 1.001])
def test_gradient_descent_diverges_exactly_above_2_over_its_curvature(share: float) -> None:
    path = errors(given("optimizer", "sgd", lr=share * 2 / LARGEST), [SMALLEST, LARGEST], 200)
    assert path[-1, 1].abs().item() == pytest.approx((2 * share - 1) ** 200, rel=1e-9)


def test_gradient_descent_at_its_best_lr_has_the_rate_of_the_condition_number() -> None:
    sgd = given("optimizer", "sgd", lr=2 / (SMALLEST + LARGEST))
    sizes = errors(sgd, [SMALLEST, 2, 3, LARGEST]).abs().amax(1)
    rate = (RATIO - 1) / (RATIO + 1)
    wanted = rate ** torch.arange(STEPS + 1, dtype=torch.float64)
    torch.testing.assert_close(sizes, wanted, rtol=1e-9, atol=0)


def test_heavy_ball_at_its_best_has_the_rate_of_the_conditions_root() -> None:
    rate = (math.sqrt(RATIO) - 1) / (math.sqrt(RATIO) + 1)
    best = 4 / (math.sqrt(SMALLEST) + math.sqrt(LARGEST)) ** 2
    path = errors(given("optimizer", "momentum", lr=best, momentum=rate**2), [SMALLEST, LARGEST])
    t = torch.arange(STEPS + 1, dtype=torch.float64)
    # At both ends the two roots of the recurrence are one: errors go as (1 + b t) rate^t.
    for column, root in zip(path.T, (rate, -rate), strict=True):
        slope = column[1] / root - 1
        torch.testing.assert_close(column, (1 + slope * t) * root**t, rtol=1e-6, atol=1e-15)


def test_a_larger_momentum_than_the_best_has_its_own_root_as_rate() -> None:
    heavy = given("optimizer", "momentum", lr=0.2, momentum=0.8)
    path = errors(heavy, [SMALLEST, 2, LARGEST], 400)
    sizes = path.norm(dim=1)
    assert (sizes[-1] / sizes[200]).item() ** (1 / 200) == pytest.approx(0.8**0.5, rel=0.01)


def known(*names: str) -> list[str]:
    """Return the names that are rules here."""
    return [name for name in names if name in plugins("optimizer")]


def bare(name: str, lr: float) -> Optimizer:
    """Make a rule without what stands in the way of its invariance."""
    own = {field.name for field in fields(plugins("optimizer")[name])}
    made: Optimizer = given(
        "optimizer", name, lr=lr, **dict.fromkeys(own & {"eps", "weight_decay"}, 0.0)
    )
    return made


@pytest.mark.parametrize(
    "name",
    known("adabelief", "adagrad", "adam", "adamax", "adamw", "adan", "amsgrad", "lion", "nadam")
    + known("nadamw", "rmsprop", "rprop", "signum"),
)
@hypothesis.given(st.floats(1e-3, 1e3))
@hypothesis.settings(max_examples=4)
def test_steps_do_not_change_with_the_size_of_the_loss(name: str, factor: float) -> None:
    plain = ours(bare(name, 0.01), fixed(1))
    larger = ours(bare(name, 0.01), lambda t, at: factor * fixed(1)(t, at))
    torch.testing.assert_close(larger, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov"])
@hypothesis.given(st.integers(0, 100))
@hypothesis.settings(max_examples=4)
def test_rules_of_gradients_alone_turn_with_the_parameters(name: str, seed: int) -> None:
    turn = torch.linalg.qr(numbers(SIZE, SIZE, seed=seed)).Q
    rule = given("optimizer", name, lr=0.01)
    plain = ours(rule, fixed(1))
    turned = ours(rule, lambda t, at: turn @ fixed(1)(t, at))
    steps, others = plain[1:] - plain[:-1], turned[1:] - turned[:-1]
    torch.testing.assert_close(others, steps @ turn.T)


@pytest.mark.parametrize(
    "name",
    known("adagrad", "adam", "adamax", "adamw", "amsgrad", "lion", "rprop", "signum"),
)
def test_the_first_step_is_lr_times_the_gradients_sign(name: str) -> None:
    path = ours(bare(name, 0.25), fixed(3))
    wanted = 0.25 * fixed(3)(1, path[0]).sign()
    torch.testing.assert_close(path[0] - path[1], wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_without_momentum_a_rule_is_gradient_descent(name: str) -> None:
    plain = ours(given("optimizer", "sgd", lr=0.1), quadratic(2))
    path = ours(given("optimizer", name, lr=0.1, momentum=0.0), quadratic(2))
    torch.testing.assert_close(path, plain, rtol=0, atol=0)


def test_without_memory_rmsprop_steps_by_the_gradients_sign() -> None:
    path = ours(given("optimizer", "rmsprop", lr=0.1, decay=0.0, eps=0.0), fixed(1))
    gradients = torch.stack([fixed(1)(t, path[0]) for t in range(1, STEPS + 1)])
    torch.testing.assert_close(path[:-1] - path[1:], 0.1 * gradients.sign())


def test_momentum_approaches_lr_over_1_minus_momentum_on_a_constant_gradient() -> None:
    momentum = given("optimizer", "momentum", lr=0.1, momentum=0.5)
    path = ours(momentum, lambda _t, point: torch.ones_like(point))
    steps = path[:-1] - path[1:]
    wanted = [0.1 * (1 - 0.5**t) / (1 - 0.5) for t in range(1, STEPS + 1)]
    assert steps[:, 0].tolist() == pytest.approx(wanted, rel=1e-12)


def test_adagrad_slows_as_one_over_the_root_of_time_on_a_constant_gradient() -> None:
    adagrad = given("optimizer", "adagrad", lr=0.1, eps=0.0)
    path = ours(adagrad, lambda _t, point: torch.full_like(point, -7.0))
    steps = path[1:] - path[:-1]
    wanted = [0.1 / math.sqrt(t) for t in range(1, STEPS + 1)]
    assert steps[:, 0].tolist() == pytest.approx(wanted, rel=1e-12)
