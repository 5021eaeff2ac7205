"""The gradient-descent loop, by hand."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.rules import lossscale
from experiments.rules.chain import Memory
from experiments.rules.change import Change
from experiments.rules.evaluations import Examples, NetworkFunction
from experiments.rules.params import Params
from experiments.rules.rule import Rule


class Step(NamedTuple):
    """What the steps since the last record leave behind, mostly one, of which `t` is the last.

    `losses` [n] are of those n steps, `norms` gives the lengths (0-d) of the last change and of the
    loss's gradient there; in lanes [n, K] and [K]. `batch` is what a step that was taken alone saw;
    its gradient stays in the parameters until the next one.
    """

    t: int
    losses: Tensor
    norms: Callable[[], tuple[Tensor, Tensor]]
    state: Memory
    batch: Sequence[Examples] = ()


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
            scale = lossscale.scale_of(state)
            change, state = rule.update(params, state, t, total, again)
            for part, step in change:  # one part, unless it is too large for the cache
                part.sub_(step)

        try:  # whoever looks at the step may look at its gradient, too
            yield Step(t, total[None], partial(_norms, change, params, scale), state, parts)
        finally:
            params.grads.zero_()


@torch.no_grad()
def _norms(change: Change, params: Params, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    return change.norm(), params.gradient.norm(dim=-1) / scale
