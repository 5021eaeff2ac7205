"""Each update rule: against torch.optim, and against what is known of it in closed form."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from descents import ORIGIN, SIZE, STEPS, Gradient, distance, fixed, given, ours, quadratic, theirs
from problems import follow, numbers, params_of, rule_of, tensors_only

from experiments import Unit

# Name of the rule, its fields, and its counterpart in torch with the same numbers.
PAIRS: dict[str, tuple[str, dict[str, float], type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": ("sgd", {"lr": 0.1}, torch.optim.SGD, {"lr": 0.1}),
    "momentum": (
        "momentum",
        {"lr": 0.03, "momentum": 0.8},
        torch.optim.SGD,
        {"lr": 0.03, "momentum": 0.8},
    ),
    "nesterov": (
        "nesterov",
        {"lr": 0.03, "momentum": 0.8},
        torch.optim.SGD,
        {"lr": 0.03, "momentum": 0.8, "nesterov": True},
    ),
    "adam": (
        "adam",
        {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3},
        torch.optim.Adam,
        {"lr": 0.02, "betas": (0.85, 0.98), "eps": 1e-3},
    ),
    "adam by default": ("adam", {}, torch.optim.Adam, {}),
    "rmsprop": (
        "rmsprop",
        {"lr": 0.005, "decay": 0.95, "eps": 1e-3},
        torch.optim.RMSprop,
        {"lr": 0.005, "alpha": 0.95, "eps": 1e-3},
    ),
    "rmsprop by default": ("rmsprop", {}, torch.optim.RMSprop, {}),
    "rmsprop with momentum": (
        "rmsprop",
        {"lr": 0.01, "momentum": 0.7},
        torch.optim.RMSprop,
        {"lr": 0.01, "momentum": 0.7},
    ),
    "adagrad": (
        "adagrad",
        {"lr": 0.1, "eps": 1e-3},
        torch.optim.Adagrad,
        {"lr": 0.1, "eps": 1e-3},
    ),
    "adagrad by default": ("adagrad", {}, torch.optim.Adagrad, {}),
}
ADAMW = {
    "by default": ({}, {}),
    "without decay": ({"weight_decay": 0.0}, {"weight_decay": 0.0}),
    "with much decay": (
        {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.5},
        {"lr": 0.02, "betas": (0.85, 0.98), "eps": 1e-3, "weight_decay": 0.5},
    ),
}


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_rule_with_coupled_decay_equals_torch(
    pair: str, gradient: Gradient, decay: float
) -> None:
    name, fields, reference, options = PAIRS[pair]
    decays = {"weight_decay": given("transform", "weight_decay", weight_decay=decay)}
    path = ours(given("optimizer", name, **fields), gradient, decays if decay else {})
    wanted = theirs(lambda parts: reference(parts, weight_decay=decay, **options), gradient)
    assert distance(path, wanted) <= 1e-10


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("numbers_of", ADAMW)
def test_adamw_equals_torch(numbers_of: str, gradient: Gradient) -> None:
    fields, options = ADAMW[numbers_of]
    path = ours(given("optimizer", "adamw", **fields), gradient)
    wanted = theirs(lambda parts: torch.optim.AdamW(parts, **options), gradient)
    assert distance(path, wanted) <= 1e-10


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
def test_adam_with_decoupled_decay_is_adamw(gradient: Gradient) -> None:
    decay = given("transform", "weight_decay", weight_decay=0.3, decoupled=True)
    path = ours(given("optimizer", "adam", lr=0.02), gradient, {"weight_decay": decay})
    wanted = theirs(lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.3), gradient)
    assert distance(path, wanted) <= 1e-10


@pytest.mark.parametrize("pair", PAIRS)
def test_a_rule_in_float32_keeps_float32s_digits(pair: str) -> None:
    name, fields, reference, options = PAIRS[pair]
    path = ours(given("optimizer", name, **fields), fixed(1), start=ORIGIN)
    wanted = theirs(lambda parts: reference(parts, **options), fixed(1), start=ORIGIN.double())
    assert path.dtype == torch.float32
    assert distance(path.double(), wanted) <= 5e-6


@pytest.mark.parametrize("numbers_of", ADAMW)
def test_adamw_in_float32_keeps_float32s_digits(numbers_of: str) -> None:
    fields, options = ADAMW[numbers_of]
    path = ours(given("optimizer", "adamw", **fields), fixed(1), start=ORIGIN)
    make = partial(torch.optim.AdamW, **options)
    wanted = theirs(make, fixed(1), start=ORIGIN.double())
    assert path.dtype == torch.float32
    assert distance(path.double(), wanted) <= 5e-6


SCHEDULES: dict[str, tuple[dict[str, Any], Callable[[torch.optim.Optimizer], Any]]] = {
    "exponential": ({"gamma": 0.9}, lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
    "cosine": ({}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS)),
    "step": (
        {"every": 7.0, "gamma": 0.5},
        lambda o: torch.optim.lr_scheduler.StepLR(o, 7, gamma=0.5),
    ),
    "polynomial": (
        {"power": 2.0},
        lambda o: torch.optim.lr_scheduler.PolynomialLR(o, STEPS, power=2.0),
    ),
}


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "rmsprop"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_rule_with_a_scheduled_lr_equals_torch(name: str, schedule: str) -> None:
    _, fields, reference, options = PAIRS[name]
    numbers_of, make = SCHEDULES[schedule]
    plugin = given("schedule", schedule, unit=Unit.step, **numbers_of)
    path = ours(given("optimizer", name, **fields), quadratic(2), schedule=plugin)
    wanted = theirs(lambda parts: reference(parts, **options), quadratic(2), make)
    assert distance(path, wanted) <= 1e-10


def test_decoupled_decay_follows_the_scheduled_lr() -> None:
    decay = given("transform", "weight_decay", weight_decay=0.3, decoupled=True)
    plugin = given("schedule", "exponential", gamma=0.8, unit=Unit.step)
    adam = given("optimizer", "adam", lr=0.02)
    path = ours(adam, fixed(1), {"weight_decay": decay}, schedule=plugin)
    wanted = theirs(
        lambda parts: torch.optim.AdamW(parts, lr=0.02, weight_decay=0.3),
        fixed(1),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.8),
    )
    assert distance(path, wanted) <= 1e-10


def test_adams_first_step_is_lr_times_the_gradients_sign() -> None:
    gradient = fixed(3)
    path = ours(given("optimizer", "adam", lr=0.25, eps=1e-300), gradient)
    wanted = 0.25 * gradient(1, path[0]).sign()
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


@pytest.mark.parametrize("share", [0.98, 1.02])
def test_gradient_descent_on_a_quadratic_diverges_above_2_over_its_curvature(share: float) -> None:
    curvature = 5.0
    path = ours(given("optimizer", "sgd", lr=share * 2 / curvature), quadratic(2))
    centre = numbers(SIZE, seed=3)
    errors = (path - centre).norm(dim=1)
    assert (errors[-1] < errors[0]) == (share < 1)
    assert (errors[-1] / errors[-2]).item() == pytest.approx(2 * share - 1, rel=0.02)


def test_gradient_descent_on_a_line_follows_its_formula() -> None:
    rate, curvature, start = 0.1, 3.0, 2.0
    params = params_of([tensors_only(weights=torch.tensor([start], dtype=torch.float64))])
    rule = rule_of(params, given("optimizer", "sgd", lr=rate))
    path = follow(rule, params, lambda _, point: curvature * point, 20)
    wanted = [start * (1 - rate * curvature) ** t for t in range(21)]
    assert path[:, 0].tolist() == pytest.approx(wanted, rel=1e-12)


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
