"""The gradient-descent loop, by hand."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.rules.chain import Memory
from experiments.rules.evaluations import Examples, NetworkFunction
from experiments.rules.params import Params
from experiments.rules.rule import Rule


class Step(NamedTuple):
    """What the steps since the last record leave behind, mostly one, of which `t` is the last.

    `losses` [n] are of those n steps, `norm` gives the length (0-d) of the last change; in lanes
    [n, K] and [K].
    """

    t: int
    losses: Tensor
    norm: Callable[[], Tensor]
    state: Memory


def descend(
    model: NetworkFunction,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    rule: Rule,
    params: Params,
    state: Memory,
    batches: Iterable[list[Examples]],
    first: int = 1,
) -> Iterator[Step]:
    """Take one step of gradient descent a batch, and yield what it did.

    A batch is a list of parts whose gradients add up: one, or several with `accumulate`, the last
    of which may have fewer items. Each item counts the same.
    """
    for t, parts in enumerate(batches, start=first):
        again = rule.evaluations(model, loss_fn, params, parts)  # for a rule that looks twice
        items = sum(targets.numel() for _, targets in parts)
        losses: list[Tensor] = []
        for inputs, targets in parts:
            share = targets.numel() / items  # mostly 1
            loss = loss_fn(model(params.tensors, inputs), targets)
            rule.weighted(loss, share, state).backward()
            losses.append(loss.detach() if share == 1 else loss.detach() * share)

        with torch.no_grad():
            total = losses[0] if len(losses) == 1 else torch.stack(losses).sum(0)
            change, state = rule.update(params, state, t, total, again)
            for part, step in change:  # one part, unless it is too large for the cache
                part.sub_(step)
            params.grads.zero_()

        yield Step(t, total[None], change.norm, state)
