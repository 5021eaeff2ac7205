"""The gradient-descent loop, by hand."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.interfaces import Tensors
from experiments.params import Params
from experiments.rule import Memory, Rule

Batch = tuple[Tensor, Tensor]


class Step(NamedTuple):
    """What one step leaves behind; in lanes `loss` is [K] and `change` [K, P]."""

    t: int
    loss: Tensor
    change: Tensor
    state: Memory


def descend(
    model: Callable[[Tensors, Tensor], Tensor],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    rule: Rule,
    params: Params,
    state: Memory,
    batches: Iterable[list[Batch]],
    first: int = 1,
) -> Iterator[Step]:
    """Take one step of gradient descent a batch, and yield what it did.

    A batch is a list of parts whose gradients add up: one, or several with `accumulate`.
    """
    for t, parts in enumerate(batches, start=first):
        total = torch.zeros(())
        for inputs, targets in parts:
            loss = loss_fn(model(params.tensors, inputs), targets) / len(parts)
            loss.sum().backward()  # lanes do not mix, so each gets its own gradient
            total = total + loss.detach()

        with torch.no_grad():
            change, state = rule.update(params.grads, params.vector, state, t)
            params.vector.sub_(change)
            params.grads.zero_()

        yield Step(t, total, change, state)
