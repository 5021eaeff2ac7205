"""What is known of the rules of curvature, and of those that find their own rate, beside paths."""

from typing import Any

import pytest
import torch
from descents import descend, distance, given
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from oracles.case import followed
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments.rules.rule import Rule
from plugins.optimizer.lbfgs import _newton

SIDE, STEPS = 5, 50
SEEDS = st.integers(0, 1000)
TURNING = {
    "soap": {"every": 3, "weight_decay": 0.1},
    "shampoo": {"every": 3},
    "muon": {"weight_decay": 0.1},
}
FREE = {  # of the gradient's scale, but for ε
    "soap": {"eps": 1e-30},
    "muon": {},
    "dog": {"eps": 1e-30, "r0": 1e-2},
    "dowg": {"eps": 0.0},
    "dadapt_adam": {"eps": 1e-30, "d0": 1e-2},
    "prodigy": {"eps": 1e-30, "d0": 1e-2},
}


def walked(name: str, start: Tensor, gradients: Tensor, **fields: Any) -> Tensor:
    """Return the path [STEPS + 1, SIDE, SIDE] of a rule for one matrix along given gradients."""
    params = params_of([tensors_only(matrix=start.clone())])
    rule = rule_of(params, given("optimizer", name, **fields))
    path = followed(rule, params, lambda t, _: gradients[t - 1].flatten())
    return path.view(-1, SIDE, SIDE)


def of(name: str, start: Tensor, **fields: Any) -> tuple[Rule, Any]:
    params = params_of([tensors_only(weights=start.clone())])
    return rule_of(params, given("optimizer", name, **fields)), params


@pytest.mark.parametrize("name", list(TURNING))
@settings(max_examples=5)
@drawn(SEEDS)
def test_a_path_turns_with_its_gradients(name: str, seed: int) -> None:
    start, gradients = numbers(SIDE, SIDE, seed=seed), numbers(STEPS, SIDE, SIDE, seed=seed + 1)
    left, right = torch.linalg.qr(numbers(2, SIDE, SIDE, seed=seed + 2)).Q
    path = walked(name, start, gradients, **TURNING[name])
    turned = walked(name, left @ start @ right, left @ gradients @ right, **TURNING[name])
    assert distance(turned, left @ path @ right) < 1e-7


def test_adam_alone_does_not_turn() -> None:
    start, gradients = numbers(SIDE, SIDE, seed=1), numbers(STEPS, SIDE, SIDE, seed=2)
    turn = torch.linalg.qr(numbers(SIDE, SIDE, seed=3)).Q
    turned = walked("adam", turn @ start, turn @ gradients)
    assert distance(turned, turn @ walked("adam", start, gradients)) > 0.01


@pytest.mark.parametrize("name", list(FREE))
@settings(max_examples=5)
@drawn(SEEDS, st.integers(-2, 8))
def test_a_path_does_not_depend_on_the_gradients_scale(name: str, seed: int, power: int) -> None:
    start, gradients = numbers(SIDE, SIDE, seed=seed), numbers(STEPS, SIDE, SIDE, seed=seed + 1)
    path = walked(name, start, gradients, **FREE[name])
    assert distance(walked(name, start, 4.0**power * gradients, **FREE[name]), path) < 1e-4


@pytest.mark.whole
def test_soap_is_pytorch_optimizers_where_the_first_gradient_has_full_rank() -> None:
    package = pytest.importorskip("pytorch_optimizer", reason="the library is not installed")
    start, gradients = numbers(SIDE, SIDE, seed=1), numbers(STEPS, SIDE, SIDE, seed=2)
    matrix, wanted = start.clone().requires_grad_(), [start]
    soap = package.SOAP([matrix], 0.02, weight_decay=0.3, precondition_frequency=4)
    for gradient in gradients:
        matrix.grad = gradient.clone()
        soap.step()
        wanted.append(matrix.detach().clone())
    path = walked("soap", start, gradients, lr=0.02, weight_decay=0.3, every=4)
    assert distance(path, torch.stack(wanted)) < 1e-4  # it has its basis of float32


def test_rounding_does_not_decide_the_path_of_soap_where_gradients_have_no_rank() -> None:
    start, sides = numbers(SIDE, SIDE, seed=1), numbers(STEPS, SIDE, 1, seed=2)
    gradients = sides @ numbers(STEPS, 1, SIDE, seed=3)
    other = gradients * (1 + 1e-15 * numbers(STEPS, SIDE, SIDE, seed=4))
    path = walked("soap", start, gradients, every=2)
    assert distance(walked("soap", start, other, every=2), path) < 1e-6


def test_the_first_step_of_shampoo_is_orthogonal() -> None:
    gradients = numbers(STEPS, SIDE, SIDE, seed=2)
    path = walked("shampoo", numbers(SIDE, SIDE, seed=1), gradients, lr=1.0, eps=1e-12)
    step = path[0] - path[1]
    torch.testing.assert_close(step @ step.T, torch.eye(SIDE).double(), rtol=0, atol=1e-6)


def test_psgd_makes_rows_of_any_size_alike() -> None:
    sizes = torch.logspace(-1, 1, SIDE, dtype=torch.float64)[:, None]
    params = params_of([tensors_only(matrix=torch.zeros(SIDE, SIDE).double())])
    rule = rule_of(params, given("optimizer", "psgd_kron", lr=1.0, momentum=0.0))
    path = followed(rule, params, lambda t, _: (sizes * numbers(SIDE, SIDE, seed=t)).flatten(), 300)
    steps = path.view(-1, SIDE, SIDE).diff(dim=0)[-100:]
    rows = steps.square().mean((0, 2)).sqrt()
    assert rows.max() < 4 * rows.min()  # of gradients' rows it is 100 times


@pytest.mark.parametrize("history", [1, SIDE])
def test_lbfgs_with_exact_steps_ends_after_as_many_as_there_are_dimensions(history: int) -> None:
    basis = torch.linalg.qr(numbers(SIDE, SIDE, seed=1)).Q
    hessian = basis @ torch.linspace(1, 30, SIDE, dtype=torch.float64).diag() @ basis.T
    point = numbers(SIDE, seed=2)
    s, y = torch.zeros(2, history, SIDE, dtype=torch.float64)
    lengths = [point.norm().item()]
    for _ in range(SIDE):
        grad = hessian @ point
        d = -_newton(grad, s, y)
        step = -grad.dot(d) / d.dot(hessian @ d) * d
        s, y = torch.cat([s[1:], step[None]]), torch.cat([y[1:], (hessian @ step)[None]])
        point = point + step
        lengths.append(point.norm().item())
    assert lengths[-1] < 1e-10 * lengths[0] < 1e-6 * lengths[-2]


def test_adahessian_without_averages_is_newtons_on_a_diagonal_quadratic() -> None:
    curvatures, start = torch.linspace(0.5, 5, SIDE, dtype=torch.float64), numbers(SIDE, seed=9)
    rule, params = of("adahessian", start, lr=1.0, beta1=0.0, beta2=0.0, eps=1e-30)
    path, memory = descend(rule, params, lambda x: (curvatures * x * x).sum() / 2, 1)
    torch.testing.assert_close(path[1], torch.zeros_like(start), rtol=0, atol=1e-15)
    assert memory["cost"]["gradient"] == 2


@pytest.mark.parametrize("name", ["polyak", "momo"])
def test_a_round_bowl_whose_least_is_known_takes_one_step_or_halves(name: str) -> None:
    rule, params = of(name, numbers(SIDE, seed=9), lr=10.0)
    path, _ = descend(rule, params, lambda x: 3 * x.dot(x), 1)
    share = 0 if name == "polyak" else 0.5  # c is a half in one, and one in the other
    torch.testing.assert_close(path[1], share * path[0], rtol=0, atol=1e-8)


def test_armijo_descends_at_every_step_and_grows_again() -> None:
    rule, params = of("armijo", numbers(SIDE, seed=9), lr=4.0)
    scales = torch.tensor([50.0] * SIDE).double()
    path, memory = descend(rule, params, lambda x: (scales * x * x).sum() / 2, 20)
    losses = path.square().sum(1)
    assert (losses.diff() < 0).all()
    assert 0.02 < memory["optimizer"]["rate"] < 0.04  # at most 2/50
    assert memory["cost"]["gradient"] == 0


def test_armijo_stays_where_nothing_is_lower_and_goes_on_from_the_last_try() -> None:
    rule, params = of("armijo", torch.zeros(SIDE).double(), lr=4.0, tries=3)
    path, memory = descend(rule, params, lambda x: x.sum() + 1e9 * x.abs().sum(), 5)
    assert path.eq(0).all()
    assert memory["optimizer"]["rate"].item() == pytest.approx(4 * 0.8**15 * 1.5**4)
    assert memory["cost"]["loss"] == 3 * 5


@pytest.mark.parametrize("size", [1e-8, 1e6])
def test_psgd_takes_gradients_of_any_size_in_float32(size: float) -> None:
    params = params_of([tensors_only(matrix=numbers(30, 20, seed=1))], torch.float32)
    rule = rule_of(params, given("optimizer", "psgd_kron"))
    slope = size * numbers(600, seed=2).float()
    path, _ = descend(rule, params, slope.dot, 20)
    assert path.isfinite().all()
    assert not path[-1].equal(path[0])


@pytest.mark.parametrize("name", ["soap", "shampoo"])
def test_a_descent_that_diverges_is_no_error_of_a_rule_of_factors(name: str) -> None:
    params = params_of([tensors_only(matrix=numbers(4, 3, seed=1))], torch.float32)
    rule = rule_of(params, given("optimizer", name, lr=1e6, every=1))
    path, _ = descend(rule, params, lambda x: (x**6).sum(), 10)
    assert path[1].isfinite().all()
    assert not path[-1].isfinite().any()
