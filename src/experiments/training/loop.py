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

    A batch is a list of parts whose gradients add up: one, or several with `accumulate`, the last
    of which may have fewer items. Each item counts the same.
    """
    for t, parts in enumerate(batches, start=first):
        items = sum(targets.numel() for _, targets in parts)
        losses: list[Tensor] = []
        for inputs, targets in parts:
            share = targets.numel() / items  # mostly 1
            loss = loss_fn(model(params.tensors, inputs), targets)
            rule.weighted(loss, share, state).backward()
            losses.append(loss.detach() if share == 1 else loss.detach() * share)

        with torch.no_grad():
            change, state = rule.update(params.grads, params.vector, state, t)
            params.vector.sub_(change)
            params.grads.zero_()

        yield Step(t, _total(losses), change, state)


def _total(losses: list[Tensor]) -> Tensor:
    """Return the loss [1] or [1, K] of a batch from its parts' shares, which mostly are one."""
    return losses[0][None] if len(losses) == 1 else torch.stack(losses).sum(0, keepdim=True)
