"""Schedule-Free AdamW: against the authors' package, and what its averages are."""

from typing import Any

import pytest
import torch
from descents import ORIGIN, START, STEPS, Gradient, distance, fixed, given, quadratic
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import Schedule, Unit

BY_DEFAULT = {"lr": 2.5e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
NUMBERS = {"lr": 0.02, "beta1": 0.8, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.3}


def ours(
    gradient: Gradient,
    schedule: Schedule | None = None,
    start: Tensor = START,
    **fields: Any,
) -> tuple[Tensor, Tensor]:
    """Return the parameters [STEPS + 1, P] that are trained, and those that are evaluated."""
    params = params_of([tensors_only(weights=start.clone())], start.dtype)
    rule = rule_of(params, given("optimizer", "schedule_free_adamw", **fields), schedule=schedule)
    state = rule.init(params.vector)
    trained, evaluated = [params.vector.clone()], [rule.point(params.vector, state)]
    for t in range(1, STEPS + 1):
        grad = gradient(t, params.vector).to(start.dtype)
        change, state = rule.step(grad, params.vector, state, t)
        params.vector.sub_(change)
        trained.append(params.vector.clone())
        evaluated.append(rule.point(params.vector, state))
    return torch.stack(trained), torch.stack(evaluated)


def theirs(
    gradient: Gradient, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
    warmup: int, start: Tensor = START,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    package = pytest.importorskip("schedulefree", reason="the authors' package is not installed")
    param = start.clone().requires_grad_()
    rule = package.AdamWScheduleFreeReference(
        [param], lr, (beta1, beta2), eps, weight_decay, warmup_steps=warmup
    )
    rule.train()
    trained, evaluated = [start], [start]
    for t in range(1, STEPS + 1):
        param.grad = gradient(t, trained[-1]).clone()
        rule.step()
        trained.append(param.detach().clone())
        evaluated.append(rule.state[param]["x"].clone())
    return torch.stack(trained), torch.stack(evaluated)


@pytest.mark.parametrize("warmup", [0, 10])
@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("fields", [{}, NUMBERS], ids=["by default", "with much decay"])
def test_schedule_free_is_the_authors(
    gradient: Gradient, fields: dict[str, float], warmup: int
) -> None:
    values = {**BY_DEFAULT, **fields, "warmup": warmup}
    schedule = given("schedule", "constant", warmup=float(warmup), unit=Unit.step)
    wanted = theirs(gradient, **values)
    for path, reference in zip(ours(gradient, schedule, **fields), wanted, strict=True):
        assert distance(path, reference) <= 1e-10
    wanted = theirs(fixed(1), **values, start=ORIGIN.double())
    single = ours(fixed(1), schedule, ORIGIN, **fields)
    for path, reference in zip(single, wanted, strict=True):
        assert path.dtype == torch.float32
        assert distance(path.double(), reference) <= 5e-6


def test_a_constant_lr_evaluates_at_the_mean_and_a_warm_up_weighs_by_the_largest_lrs_square() -> (
    None
):
    grad = numbers(len(START), seed=1)
    rates = torch.full((STEPS,), 0.1, dtype=torch.float64)
    for warmup in (0, 5):
        rates[:warmup] = 0.1 * torch.arange(1, warmup + 1) / max(warmup, 1)
        schedule = given("schedule", "constant", warmup=float(warmup), unit=Unit.step)
        # With the same gradient at each step, z goes on by lr times its sign.
        _, evaluated = ours(lambda *_: grad, schedule, lr=0.1, eps=0.0)
        z = START - rates.cumsum(0)[:, None] * grad.sign()
        wanted = (rates.square()[:, None] * z).cumsum(0) / rates.square().cumsum(0)[:, None]
        torch.testing.assert_close(evaluated[1:], wanted)


def test_without_a_rate_nothing_moves() -> None:
    trained, evaluated = ours(fixed(1), lr=0.0)
    assert trained.eq(START).all()
    torch.testing.assert_close(evaluated, trained)
