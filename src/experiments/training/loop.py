"""The gradient-descent loop, by hand."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.plugin.spec import Tensors
from experiments.rules.params import Fresh, Params
from experiments.rules.rule import Memory, Rule

Batch = tuple[Tensor, Tensor]


class Step(NamedTuple):
    """What the steps since the last record leave behind, mostly one, of which `t` is the last.

    Shapes: `losses` [n] of those n steps, `change` [P] of the last; in lanes [n, K] and [K, P].
    """

    t: int
    losses: Tensor
    change: Tensor
    state: Memory


def descend(
    model: Callable[[Tensors, Tensor], Tensor],
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    rule: Rule,
    params: Params | Fresh,
    state: Memory,
    batches: Iterable[list[Batch]],
    first: int = 1,
) -> Iterator[Step]:
    """Take one step of gradient descent a batch, and yield what it did.

    A batch is a list of parts whose gradients add up: one, or several with `accumulate`.
    """
    for t, parts in enumerate(batches, start=first):
        losses: list[Tensor] = []
        for inputs, targets in parts:
            loss = loss_fn(model(params.tensors, inputs), targets)
            rule.weighted(loss, len(parts), state).backward()
            losses.append(loss.detach())

        with torch.no_grad():
            change, state = rule.update(params.grads, params.vector, state, t)
            params.vector.sub_(change)
            params.grads.zero_()

        yield Step(t, _mean(losses), change, state)


def _mean(losses: list[Tensor]) -> Tensor:
    """Return the mean [1] or [1, K] of a batch's parts, which mostly are one."""
    return losses[0][None] if len(losses) == 1 else torch.stack(losses).mean(0, keepdim=True)
