"""The rules that came after Adam: what is known of them in closed form."""

import dataclasses
from typing import Any

import pytest
import torch
from descents import START, STEPS, Gradient, fixed, given, ours, quadratic
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import lookup
from experiments.plugin.bounds import problem

RANDOM = fixed(1)


def steps_of(name: str, gradient: Gradient = RANDOM, **fields: Any) -> Tensor:
    path = ours(given("optimizer", name, **fields), gradient)
    return path[:-1] - path[1:]


def constant(value: float) -> Gradient:
    return lambda _, point: torch.full_like(point, value)


@pytest.mark.parametrize("name", ["lion", "signum"])
@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
def test_a_step_by_a_sign_moves_every_coordinate_by_lr(name: str, gradient: Gradient) -> None:
    steps = steps_of(name, gradient, lr=0.25)
    torch.testing.assert_close(steps.abs(), torch.full_like(steps, 0.25), rtol=1e-12, atol=0)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**17])
@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("adopt", {"eps": 1e-200}),
        ("lamb", {"eps": 0.0}),
        ("lars", {}),
        ("ademamix", {"eps": 0.0, "warmup": 20.0}),
        ("adafactor", {"eps1": 1e-200}),
    ],
)
def test_steps_do_not_change_with_the_size_of_the_loss(
    name: str, fields: dict[str, float], factor: float
) -> None:
    scaled = steps_of(name, lambda t, _: factor * RANDOM(t, START), **fields)
    torch.testing.assert_close(scaled, steps_of(name, **fields), rtol=1e-12, atol=1e-300)


def test_adopt_stands_still_at_first_and_then_moves_by_no_more_than_its_bound() -> None:
    steps = steps_of("adopt", lr=0.1, beta1=0.0).abs().amax(1)
    assert steps[0] == 0
    bounds = 0.1 * torch.arange(STEPS, dtype=torch.float64) ** 0.25
    assert (steps <= bounds * (1 + 1e-12)).all()
    assert steps[1].item() == pytest.approx(0.1)


def test_adopt_goes_down_where_adam_goes_up_as_its_beta2_is_small() -> None:
    def gradient(t: int, point: Tensor) -> Tensor:
        return torch.full_like(point, 4.0 if t % 3 == 1 else -1.0)  # 2 in three steps

    few = {"lr": 0.01, "beta1": 0.0, "beta2": 0.1}
    assert (steps_of("adam", gradient, **few).sum(0) < 0).all()
    assert (steps_of("adopt", gradient, **few).sum(0) > 0).all()


def path_of(name: str, tensors: dict[str, Tensor], steps: int = 20, **fields: Any) -> Tensor:
    """Follow random gradients from some tensors."""
    params = params_of([tensors_only(**tensors)])
    gradients = numbers(steps, params.vector.numel(), seed=3)
    rule = rule_of(params, given("optimizer", name, **fields))
    return follow(rule, params, lambda t, _: gradients[t - 1], steps)


def test_lambs_step_is_as_long_as_lr_times_the_parameter() -> None:
    path = path_of("lamb", {"matrix": numbers(3, 4, seed=1)}, lr=0.3)
    steps = (path[1:] - path[:-1]).norm(dim=1)
    torch.testing.assert_close(steps, 0.3 * path[:-1].norm(dim=1))


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_a_parameter_that_is_0_is_not_held_there(name: str) -> None:
    path = path_of(name, {"bias": torch.zeros(4)}, lr=0.01)
    assert path[1].all()


def test_larss_first_step_is_the_trust_times_lr_times_the_parameter() -> None:
    path = path_of("lars", {"matrix": numbers(3, 4, seed=1)}, lr=2.0, trust=0.01)
    assert (path[1] - path[0]).norm().item() == pytest.approx(0.02 * path[0].norm().item())


def test_without_its_slow_average_ademamix_is_adamw() -> None:
    own = {"lr": 0.02, "weight_decay": 0.3}
    steps = steps_of("ademamix", quadratic(2), alpha=0.0, **own)
    torch.testing.assert_close(steps, steps_of("adamw", quadratic(2), **own))


def test_ademamixs_slow_average_is_half_as_old_halfway_through_the_warm_up() -> None:
    fast, slow, halfway = (0.5 ** (1 / half_life) for half_life in (10, 50, 30))
    own = {"beta1": fast, "beta3": slow, "alpha": 4.0}
    warm = steps_of("ademamix", warmup=2.0, **own)[0]
    torch.testing.assert_close(
        warm, steps_of("ademamix", **(own | {"beta3": halfway, "alpha": 2.0}))[0]
    )


def test_without_its_correction_mars_is_adamw_of_gradients_cut_to_length_one() -> None:
    def short(_: int, point: Tensor) -> Tensor:
        return 0.1 * quadratic(2)(1, point) / quadratic(2)(1, point).norm()

    own = {"lr": 0.02, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.3}
    wanted = steps_of("adamw", short, **own)
    torch.testing.assert_close(steps_of("mars", short, gamma=0.0, **own), wanted)
    assert not steps_of("mars", short, **own)[1:].allclose(wanted[1:])


def test_along_a_constant_gradient_adan_is_adam() -> None:
    adam = steps_of("adam", constant(2.0), lr=0.02, beta1=0.98, beta2=0.99)
    torch.testing.assert_close(steps_of("adan", constant(2.0), lr=0.02), adam)


def test_adabelief_trusts_what_it_has_foreseen_up_to_its_epsilon() -> None:
    steps = steps_of("adabelief", constant(3.0), lr=0.1, beta1=0.0, beta2=0.9, eps=1e-4)
    wanted = 0.1 * 3 / ((1e-4 / 0.1) ** 0.5 + 1e-4)  # ε / (1 − β₂), at every step
    torch.testing.assert_close(steps, torch.full_like(steps, wanted))


def test_yogis_second_moment_grows_by_the_same_amount_at_each_step() -> None:
    own = {"beta1": 0.0, "beta2": 0.99, "eps": 1e-12, "initial": 0.0, "bias_correction": False}
    steps = steps_of("yogi", constant(3.0), lr=0.1, **own)
    wanted = 0.1 / (0.01 * torch.arange(1, STEPS + 1)).sqrt()
    torch.testing.assert_close(steps[:, 0], wanted.double(), rtol=1e-6, atol=0)


def test_adafactor_remembers_a_row_and_a_column_and_steps_by_signs_where_these_are_all() -> None:
    row, column = numbers(3, seed=1), numbers(4, seed=2)
    params = params_of([tensors_only(matrix=numbers(3, 4), filters=numbers(2, 2, 3, 3))])
    rule = rule_of(params, given("optimizer", "adafactor", lr=0.1))
    memory = next(iter(rule.init(params.vector).values()))
    assert {name: tensor.numel() for name, tensor in memory.items()} == {
        "rows/matrix": 3, "columns/matrix": 4, "rows/filters": 2, "columns/filters": 18
    }  # fmt: skip
    outer = torch.outer(row, column)
    path = follow(rule, params, lambda *_: torch.cat([outer.flatten(), numbers(36)]), 1)
    size = path[0][:12].square().mean().sqrt()
    torch.testing.assert_close((path[0] - path[1])[:12], 0.1 * size * outer.flatten().sign())


def test_adafactor_takes_a_convolutions_weights_for_a_matrix() -> None:
    filters = numbers(4, 2, 3, 3, seed=1)
    wanted = path_of("adafactor", {"weight": filters.flatten(1)})
    torch.testing.assert_close(path_of("adafactor", {"weight": filters}), wanted)


@pytest.mark.parametrize(
    ("name", "field", "value", "wanted"),
    [
        ("lion", "beta1", 1.0, "must be >= 0 and < 1"),
        ("lion", "weight_decay", -0.1, "must be >= 0"),
        ("signum", "beta", 1.0, "must be >= 0 and < 1"),
        ("adopt", "eps", 0.0, "must be > 0"),
        ("lamb", "beta2", 1.0, "must be >= 0 and < 1"),
        ("lars", "trust", 0.0, "must be > 0"),
        ("lars", "momentum", 1.0, "must be >= 0 and < 1"),
        ("ademamix", "beta3", 1.0, "must be >= 0 and < 1"),
        ("ademamix", "warmup", -1.0, "must be >= 0"),
        ("mars", "gamma", -0.1, "must be >= 0"),
        ("adafactor", "tau", 0.0, "must be < 0"),
        ("adafactor", "clip", 0.0, "must be > 0"),
        ("schedule_free_sgd", "beta", 0.0, "must be > 0 and < 1"),
        ("adabelief", "eps", 0.0, "must be > 0"),
        ("yogi", "initial", -1.0, "must be >= 0"),
        ("adan", "beta3", float("nan"), "must be finite"),
    ],
)
def test_a_number_out_of_its_range_is_told(
    name: str, field: str, value: float, wanted: str
) -> None:
    own = {own.name: own for own in dataclasses.fields(lookup("optimizer", name))}
    assert problem(own[field], value) == wanted
    assert problem(own[field], own[field].default) is None


@pytest.mark.parametrize("name", ["lion", "signum", "rprop"])
def test_a_lost_number_does_not_stand_still(name: str) -> None:
    lost = torch.tensor([1.0, torch.nan, 1.0]).double()
    params = params_of([tensors_only(weights=torch.zeros(3).double())])
    rule = rule_of(params, given("optimizer", name))
    path = follow(rule, params, lambda t, _: lost if t == 3 else torch.ones(3), 3)
    assert path[2].isfinite().all()
    assert path[3].isnan().tolist() == [False, True, False]
