"""SAM: against its two passes by hand, and in closed form on a quadratic."""

from collections.abc import Callable

import pytest
import torch
from descents import descend, distance, given
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

STEPS, SIZE = 30, 12
FACTOR = numbers(SIZE, SIZE, seed=1) / SIZE**0.5
CENTRE = numbers(SIZE, seed=2)
Loss = Callable[[Tensor], Tensor]


def bumpy(point: Tensor) -> Tensor:
    """Return a loss that is no quadratic."""
    return (FACTOR.to(point) @ (point - CENTRE.to(point))).square().sum() + point.cos().sum()


def ours(loss: Loss, rho: float, dtype: torch.dtype = torch.float64, lr: float = 0.02) -> Tensor:
    start = numbers(SIZE, seed=9).to(dtype)
    params = params_of([tensors_only(weights=start[:8].view(4, 2), bias=start[8:])], dtype)
    momentum = given("optimizer", "momentum", lr=lr)
    rule = rule_of(params, momentum, {"sam": given("transform", "sam", rho=rho)})
    path, memory = descend(rule, params, loss, STEPS)
    assert memory["cost"]["gradient"] == STEPS
    return path


def by_hand(loss: Loss, rho: float, lr: float = 0.02) -> Tensor:
    point = numbers(SIZE, seed=9).requires_grad_()
    momentum = torch.optim.SGD([point], lr=lr, momentum=0.9)
    path = [point.detach().clone()]
    for _ in range(STEPS):
        (grad,) = torch.autograd.grad(loss(point), point)
        worse = (point + rho * grad / grad.norm()).detach().requires_grad_()
        (point.grad,) = torch.autograd.grad(loss(worse), worse)
        momentum.step()
        path.append(point.detach().clone())
    return torch.stack(path)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.7])
def test_sam_is_its_two_passes(rho: float) -> None:
    wanted = by_hand(bumpy, rho)
    assert distance(ours(bumpy, rho), wanted) <= 1e-10
    single = ours(bumpy, rho, torch.float32)
    assert single.dtype == torch.float32
    assert distance(single.double(), wanted) <= 2e-5  # the surface amplifies a difference


def test_a_step_on_a_quadratic_is_its_closed_form() -> None:
    curvatures = torch.linspace(0.5, 5, SIZE, dtype=torch.float64)
    path = ours(lambda point: (curvatures * point.square()).sum() / 2, 0.3)
    grad = curvatures * path[0]
    wanted = path[0] - 0.02 * curvatures * (path[0] + 0.3 * grad / grad.norm())
    torch.testing.assert_close(path[1], wanted, rtol=1e-12, atol=1e-14)


def test_a_gradient_of_zero_leaves_everything_where_it_is() -> None:
    path = ours(lambda point: 0 * point.sum(), 0.3)
    assert path.eq(path[0]).all()
