"""The schedule-free rules: against the authors' package, and what their averages are."""

from typing import Any

import pytest
import torch
from descents import ORIGIN, START, STEPS, Gradient, distance, fixed, given, quadratic
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import Schedule, Unit

ADAMW, SGD = "schedule_free_adamw", "schedule_free_sgd"
BY_DEFAULT = {
    ADAMW: {"lr": 2.5e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
    SGD: {"lr": 1.0, "beta": 0.9, "weight_decay": 0.0},
}
NUMBERS = {
    ADAMW: {"lr": 0.02, "beta1": 0.8, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.3},
    SGD: {"lr": 0.2, "beta": 0.8, "weight_decay": 0.3},
}


def ours(
    name: str,
    gradient: Gradient,
    schedule: Schedule | None = None,
    start: Tensor = START,
    **fields: Any,
) -> tuple[Tensor, Tensor]:
    """Return the parameters [STEPS + 1, P] that are trained, and those that are evaluated."""
    params = params_of([tensors_only(weights=start.clone())], start.dtype)
    rule = rule_of(params, given("optimizer", name, **fields), schedule=schedule)
    state = rule.init(params.vector)
    trained, evaluated = [params.vector.clone()], [rule.point(params.vector, state)]
    for t in range(1, STEPS + 1):
        grad = gradient(t, params.vector).to(start.dtype)
        change, state = rule.step(grad, params.vector, state, t)
        params.vector.sub_(change)
        trained.append(params.vector.clone())
        evaluated.append(rule.point(params.vector, state))
    return torch.stack(trained), torch.stack(evaluated)


def made(name: str, param: Tensor, values: dict[str, float], warmup: int) -> Any:
    """Make the authors' rule, by its equations."""
    package = pytest.importorskip("schedulefree", reason="the authors' package is not installed")
    options = {"lr": values["lr"], "weight_decay": values["weight_decay"], "warmup_steps": warmup}
    if name == SGD:
        return package.SGDScheduleFreeReference([param], momentum=values["beta"], **options)
    betas, eps = (values["beta1"], values["beta2"]), values["eps"]
    return package.AdamWScheduleFreeReference([param], betas=betas, eps=eps, **options)


def theirs(
    name: str, gradient: Gradient, values: dict[str, float], warmup: int, start: Tensor = START
) -> tuple[Tensor, Tensor]:
    param = start.clone().requires_grad_()
    rule = made(name, param, values, warmup)
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
@pytest.mark.parametrize("name", [ADAMW, SGD])
def test_schedule_free_is_the_authors(
    name: str, gradient: Gradient, fields: dict[str, dict[str, float]], warmup: int
) -> None:
    own = fields.get(name, {})
    values = {**BY_DEFAULT[name], **own}
    schedule = given("schedule", "constant", warmup=float(warmup), unit=Unit.step)
    wanted = theirs(name, gradient, values, warmup)
    for path, reference in zip(ours(name, gradient, schedule, **own), wanted, strict=True):
        assert distance(path, reference) <= 1e-10
    wanted = theirs(name, fixed(1), values, warmup, ORIGIN.double())
    single = ours(name, fixed(1), schedule, ORIGIN, **own)
    for path, reference in zip(single, wanted, strict=True):
        assert path.dtype == torch.float32
        assert distance(path.double(), reference) <= 5e-6


@pytest.mark.parametrize(("name", "fields"), [(ADAMW, {"eps": 0.0}), (SGD, {})])
def test_a_constant_lr_evaluates_at_the_mean_and_a_warm_up_weighs_by_the_largest_lrs_square(
    name: str, fields: dict[str, float]
) -> None:
    grad = numbers(len(START), seed=1)
    rates = torch.full((STEPS,), 0.1, dtype=torch.float64)
    for warmup in (0, 5):
        rates[:warmup] = 0.1 * torch.arange(1, warmup + 1) / max(warmup, 1)
        schedule = given("schedule", "constant", warmup=float(warmup), unit=Unit.step)
        _, evaluated = ours(name, lambda *_: grad, schedule, lr=0.1, **fields)
        # With the same gradient at each step, z goes on by lr times it, or times its sign.
        z = START - rates.cumsum(0)[:, None] * (grad.sign() if name == ADAMW else grad)
        wanted = (rates.square()[:, None] * z).cumsum(0) / rates.square().cumsum(0)[:, None]
        torch.testing.assert_close(evaluated[1:], wanted)


@pytest.mark.parametrize("name", [ADAMW, SGD])
def test_without_a_rate_nothing_moves(name: str) -> None:
    trained, evaluated = ours(name, fixed(1), lr=0.0)
    assert trained.eq(START).all()
    torch.testing.assert_close(evaluated, trained)
