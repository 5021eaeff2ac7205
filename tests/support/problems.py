"""Small problems that several tests train on."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from experiments import DataSpec, Network, Optimizer, Schedule, Task, Transform
from experiments.rules.params import Params
from experiments.rules.rule import Rule

CPU = torch.device("cpu")


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw standard normal numbers that depend on the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(count: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


def spec(shape: Sequence[int], classes: int = 0) -> DataSpec:
    """Describe items of a shape: a classification, or without classes a regression."""
    task = Task.classification if classes else Task.regression
    return DataSpec(input_shape=tuple(shape), task=task, classes=tuple(map(str, range(classes))))


def items(count: int, shape: Sequence[int], classes: int = 0, seed: int = 0) -> TensorDataset:
    """Draw items whose targets depend on their inputs, as bytes for images."""
    inputs = numbers(count, *shape, seed=seed, dtype=torch.float32)
    sums = inputs.flatten(1)[:, : max(classes, 2)]
    targets = sums.argmax(1) if classes else sums.sum(1)
    if len(shape) == 3:
        inputs = (inputs * 40 + 128).clamp(0, 255).to(torch.uint8)
    return TensorDataset(inputs, targets)


def tensors_only(**tensors: Tensor) -> Network:
    """Hold tensors whose forward pass no test asks for."""
    return Network({name: t.requires_grad_() for name, t in tensors.items()}, lambda _, x: x)


def params_of(
    networks: Sequence[nn.Module | Network], dtype: torch.dtype = torch.float64
) -> Params:
    return Params(networks, CPU, dtype)


def rule_of(
    params: Params,
    optimizer: Optimizer | Sequence[Optimizer],
    transforms: Mapping[str, Transform] | None = None,
    schedule: Schedule | None = None,
    *,
    total_steps: int = 50,
    steps_per_epoch: int = 10,
) -> Rule:
    """Make the rule of a plain run, or with several optimizers that of lanes."""
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    lanes = len(optimizers)
    return Rule(
        params,
        optimizers,
        {name: [transform] * lanes for name, transform in (transforms or {}).items()},
        {} if schedule is None else {"lr": [schedule] * lanes},
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
    )


def follow(
    rule: Rule, params: Params, gradient: Callable[[int, Tensor], Tensor], steps: int
) -> Tensor:
    """Return the parameters [steps + 1, ..., P] of a descent along the given gradients."""
    state = rule.init(params.vector)
    path = [params.vector.clone()]
    for t in range(1, steps + 1):
        change, state = rule.step(
            gradient(t, params.vector).to(params.vector.dtype), params.vector, state, t
        )
        params.vector.sub_(change)
        path.append(params.vector.clone())
    return torch.stack(path)
