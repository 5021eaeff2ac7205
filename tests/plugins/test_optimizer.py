"""The update rules: their numbers by default, and schedules of lr, as in torch.optim."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from descents import START, STEPS, distance, fixed, given, ours, quadratic, theirs

from experiments import Unit, plugins
from experiments.plugin.bounds import problem

Maker = Callable[..., torch.optim.Optimizer]

DEFAULTS: dict[str, Maker] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_by_default_a_rule_has_torchs_numbers(name: str) -> None:
    wanted = theirs(DEFAULTS[name], quadratic(2))
    assert distance(ours(given("optimizer", name), quadratic(2)), wanted) <= 1e-9


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


SGD = torch.optim.SGD
SCHEDULED: dict[str, tuple[dict[str, float], Maker, dict[str, Any]]] = {
    "sgd": ({"lr": 0.1}, SGD, {"lr": 0.1}),
    "momentum": ({"lr": 0.03, "momentum": 0.8}, SGD, {"lr": 0.03, "momentum": 0.8}),
    "nesterov": (
        {"lr": 0.03, "momentum": 0.8},
        SGD,
        {"lr": 0.03, "momentum": 0.8, "nesterov": True},
    ),
    "adam": ({"lr": 0.02}, torch.optim.Adam, {"lr": 0.02}),
    "rmsprop": ({"lr": 0.005}, torch.optim.RMSprop, {"lr": 0.005}),
}


@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_rule_with_a_scheduled_lr_equals_torch(name: str, schedule: str) -> None:
    fields, reference, options = SCHEDULED[name]
    numbers_of, make = SCHEDULES[schedule]
    plugin = given("schedule", schedule, unit=Unit.step, **numbers_of)
    path = ours(given("optimizer", name, **fields), quadratic(2), schedule=plugin)
    wanted = theirs(lambda parts: reference(parts, **options), quadratic(2), make)
    assert distance(path, wanted) <= 1e-10


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_an_lr_inside_the_velocity_leaves_past_gradients_as_they_were(name: str) -> None:
    schedule = given("schedule", "exponential", gamma=0.8, unit=Unit.step)
    optimizer = given("optimizer", name, lr=0.1, momentum=0.7, lr_inside=True)
    path = ours(optimizer, fixed(1), schedule=schedule)
    point, velocity = START.numpy().copy(), np.zeros(len(START))
    for t in range(1, STEPS + 1):
        step = 0.1 * 0.8 ** (t - 1) * fixed(1)(t, START).numpy()
        velocity = 0.7 * velocity + step
        point -= velocity if name == "momentum" else step + 0.7 * velocity
    assert np.abs(path[-1].numpy() - point).max() < 1e-12


def test_torchs_dampening_spares_the_first_gradient_and_ours_does_not() -> None:
    path = ours(given("optimizer", "momentum", lr=0.1, momentum=0.8, dampened=True), fixed(1))
    torchs = theirs(lambda p: SGD(p, lr=0.1, momentum=0.8, dampening=0.8), fixed(1))
    kept = 0.8 ** torch.arange(1, STEPS + 1, dtype=torch.float64)  # of it in each later step
    wanted = -0.1 * kept.cumsum(0)[:, None] * fixed(1)(1, START)
    torch.testing.assert_close(torchs[1:] - path[1:], wanted)


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


def test_rprops_sizes_are_in_units_of_lr() -> None:
    schedule = given("schedule", "exponential", gamma=0.5, unit=Unit.step)
    rprop = given("optimizer", "rprop", lr=0.1, grow=1.2)
    path = ours(rprop, lambda _, point: torch.ones_like(point), schedule=schedule)
    sizes = 0.1 * (0.5 * 1.2) ** torch.arange(STEPS, dtype=torch.float64)
    torch.testing.assert_close(path[:-1, 0] - path[1:, 0], sizes)


@pytest.mark.parametrize(
    ("rule", "name", "value", "allowed"),
    [
        ("sgd", "lr", -0.1, ">= 0"),
        ("momentum", "momentum", 1.0, ">= 0 and < 1"),
        ("rmsprop", "decay", 1.0, ">= 0 and < 1"),
        ("adagrad", "initial", -1.0, ">= 0"),
        ("adam", "beta2", 1.0, ">= 0 and < 1"),
        ("nadam", "psi", 0.0, "> 0"),  # its momentum would be β₁/2 for ever
        ("radam", "beta2", 0.0, "> 0 and < 1"),  # 2 / (1 − β₂) − 1 would be 1 at every step
        ("radam", "threshold", 3.0, ">= 4"),  # where r is imaginary
        ("rprop", "grow", 0.9, ">= 1"),
        ("rprop", "shrink", 0.0, "> 0 and <= 1"),
    ],
)
def test_a_number_that_makes_no_rule_is_told_with_what_is_allowed(
    rule: str, name: str, value: float, allowed: str
) -> None:
    (field,) = (own for own in fields(plugins("optimizer")[rule]) if own.name == name)
    assert problem(field, value) == f"must be {allowed}"
