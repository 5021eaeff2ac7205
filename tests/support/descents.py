"""Update rules and those of other libraries, along the same gradients or down the same loss."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import Optimizer, Schedule, Transform, lookup
from experiments.rules.chain import Memory
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.training import loop

STEPS, SIZE = 50, 6 * 4 + 5
START = numbers(SIZE, seed=9)
ORIGIN = torch.zeros(SIZE)  # so that float32's rounding of the steps is seen, not of the sums
Gradient = Callable[[int, Tensor], Tensor]


def given(kind: str, name: str, **fields: Any) -> Any:
    """Make a plugin by name."""
    return lookup(kind, name)(**fields)


def fixed(seed: int) -> Gradient:
    """Give gradients that do not depend on the parameters, so that errors are the rule's own."""
    gradients = numbers(STEPS, SIZE, seed=seed)
    return lambda t, _: gradients[t - 1]


def quadratic(seed: int) -> Gradient:
    """Give the gradients of a quadratic whose curvatures lie between 0.5 and 5."""
    basis = torch.linalg.qr(numbers(SIZE, SIZE, seed=seed)).Q
    hessian = basis @ torch.linspace(0.5, 5, SIZE, dtype=torch.float64).diag() @ basis.T
    centre = numbers(SIZE, seed=seed + 1)
    return lambda _, point: hessian @ (point.double() - centre)


def ours(
    optimizer: Optimizer,
    gradient: Gradient,
    transforms: dict[str, Transform] | None = None,
    schedule: Schedule | None = None,
    start: Tensor = START,
) -> Tensor:
    tensors = tensors_only(weights=start[:24].view(6, 4).clone(), bias=start[24:].clone())
    params = params_of([tensors], start.dtype)
    rule = rule_of(params, optimizer, transforms, schedule, total_steps=STEPS)
    return follow(rule, params, gradient, STEPS)


def theirs(
    make: Callable[[list[Tensor]], torch.optim.Optimizer],
    gradient: Gradient,
    schedule: Callable[[torch.optim.Optimizer], Any] | None = None,
    start: Tensor = START,
) -> Tensor:
    parts = [start[:24].view(6, 4).clone().requires_grad_(), start[24:].clone().requires_grad_()]
    optimizer = make(parts)
    scheduler = schedule(optimizer) if schedule else None
    path = [start]
    for t in range(1, STEPS + 1):
        grad = gradient(t, path[-1])
        parts[0].grad, parts[1].grad = grad[:24].view(6, 4).clone(), grad[24:].clone()
        optimizer.step()
        if scheduler:
            scheduler.step()
        path.append(torch.cat([part.detach().flatten() for part in parts]))
    return torch.stack(path)


def distance(path: Tensor, reference: Tensor) -> float:
    """Return the largest difference of two descents over the largest displacement."""
    displacement = (reference - reference[0]).abs().max()
    return ((path - reference).abs().max() / displacement).item()


class Surface:
    """A loss of the parameters alone, in the place of a network: batches say nothing."""

    def __init__(self, loss: Callable[[Tensor], Tensor]) -> None:
        self._loss = loss

    def __call__(self, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return self._loss(torch.cat([tensor.flatten() for tensor in tensors.values()]))

    def aside(self) -> "Surface":
        return self


def descend(
    rule: Rule, params: Params, loss: Callable[[Tensor], Tensor], steps: int
) -> tuple[Tensor, Memory]:
    """Return the parameters [steps + 1, P] of the loop down a loss, and the last memory."""
    state, path = rule.init(params.vector), [params.vector.clone()]
    batches = [[(torch.zeros(1), torch.zeros(1))]] * steps
    surface = Surface(loss)
    for step in loop.descend(surface, lambda loss, _: loss, rule, params, state, batches):
        path.append(params.vector.clone())
        state = step.state
    return torch.stack(path), state
