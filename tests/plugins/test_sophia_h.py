"""Sophia-H: against its equations in NumPy, fed the same signs, and in closed form."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from descents import descend, distance, given
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments.rules.again import Again

STEPS, SIZE = 30, 9
FACTOR = numbers(SIZE, SIZE, seed=1) / 3
START = numbers(SIZE, seed=9)
SIGNS = numbers(STEPS + 1, SIZE, seed=4).sign()
BY_DEFAULT = {"lr": 1e-3, "beta1": 0.965, "beta2": 0.99, "gamma": 0.01, "eps": 1e-12, "every": 10}


def loss(point: Tensor) -> Tensor:
    """Return a loss whose curvature changes, and is negative in places."""
    return (FACTOR.to(point) @ point).square().sum() / 2 + 2 * point.cos().sum()


def ours(dtype: torch.dtype = torch.float64, **fields: float) -> tuple[Tensor, int]:
    params = params_of([tensors_only(weights=START.to(dtype, copy=True))], dtype)
    rule = rule_of(params, given("optimizer", "sophia_h", **fields))

    def noise(self: Again, like: Tensor) -> Tensor:
        return SIGNS[self.t].to(like) * 0.3  # of which the rule takes the sign

    with patch.object(Again, "noise", noise):
        path, memory = descend(rule, params, loss, STEPS)
    return path, int(memory["cost"]["gradient"])


def transcribed(
    lr: float, beta1: float, beta2: float, gamma: float, eps: float, every: int
) -> Tensor:
    """Follow the published algorithm with the gradient and the Hessian of the loss by hand."""
    factor, point = FACTOR.numpy(), START.numpy()
    m, h, path = np.zeros(SIZE), np.zeros(SIZE), [point]
    for t in range(1, STEPS + 1):
        grad = factor.T @ factor @ point - 2 * np.sin(point)
        m = beta1 * m + (1 - beta1) * grad
        if t % every == 1 % every:
            z = SIGNS[t].numpy()
            product = factor.T @ (factor @ z) - 2 * np.cos(point) * z
            h = beta2 * h + (1 - beta2) * z * product
        point = point - lr * np.clip(m / np.maximum(gamma * h, eps), -1, 1)
        path.append(point)
    return torch.from_numpy(np.stack(path))


@pytest.mark.parametrize(
    "fields",
    [{}, {"lr": 0.1, "beta1": 0.8, "beta2": 0.7, "gamma": 1.5, "every": 4}, {"every": 1}],
    ids=["by default", "others", "at every step"],
)
def test_sophia_h_is_its_equations(fields: dict[str, float]) -> None:
    values = {**BY_DEFAULT, **fields}
    wanted = transcribed(**values)
    path, gradients = ours(**fields)
    assert distance(path, wanted) <= 1e-10
    assert gradients == 2 * -(STEPS // -values["every"])
    single, _ = ours(torch.float32, **fields)
    assert single.dtype == torch.float32
    assert distance(single.double(), wanted) <= 1e-4  # each step amplifies the error of the last


def test_where_the_loss_curves_down_a_step_is_lr_times_a_sign() -> None:
    params = params_of([tensors_only(weights=START.clone())])
    rule = rule_of(params, given("optimizer", "sophia_h", lr=0.25))
    path, _ = descend(rule, params, lambda point: -point.square().sum(), 1)
    torch.testing.assert_close(path[1] - path[0], 0.25 * START.sign())


def test_on_a_diagonal_quadratic_a_step_is_newtons() -> None:
    curvatures = torch.linspace(0.5, 5, SIZE, dtype=torch.float64)
    params = params_of([tensors_only(weights=0.1 * START)])
    newton = given("optimizer", "sophia_h", lr=1.0, beta1=0.0, beta2=0.0, gamma=1.0, every=1)
    path, _ = descend(rule_of(params, newton), params, lambda x: (curvatures * x * x).sum() / 2, 1)
    torch.testing.assert_close(path[1], torch.zeros_like(path[1]), rtol=0, atol=1e-15)
