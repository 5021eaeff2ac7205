"""The gradient noise scale: the batch size at which noise and gradient weigh the same.

It is tr Σ / |G|², where Σ is the covariance of an item's gradient and G its mean; far smaller
batches average noise away, far larger ones repeat themselves (McCandlish et al., 2018).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from experiments.rules.evaluations import Examples
from experiments.rules.layout import Layout
from experiments.training.diagnostics import layers

NAMES = "noise/variance", "noise/square", "noise_scale"
_WEIGHT = 0.1  # of a measurement in the means that make the ratio


def estimates(
    layout: Layout,
    gradient_of: Callable[[Sequence[Examples]], Tensor],
    batch: Sequence[Examples],
    *,
    dim: int,
) -> Tensor:
    """Return unbiased estimates [..., L + 1, 2] of tr Σ and |G|², NaN of a batch of one item.

    They are |g₁ − g₂|² / (1/n₁ + 1/n₂) and g₁ · g₂ of the gradients of two halves, of n₁ and n₂
    items. `dim` is that of the items.
    """
    halves = _halves(batch, dim)
    first, second = (gradient_of(half) for half in halves)
    counts = [sum(targets.shape[dim] for _, targets in half) for half in halves]
    if not all(counts):
        first = first * torch.nan
    difference = first - second
    squares = layers.dots(layout, [(difference, difference), (first, second)])
    per_item = sum(1 / max(count, 1) for count in counts)
    return torch.stack([squares[..., 0] / per_item, squares[..., 1]], -1)


def running_means(means: Tensor, now: Tensor) -> Tensor:
    """Return the means over the last measurements, without what is not finite.

    Either estimate is much noisier than their ratio may be; the means begin with zero both, which
    their ratio does not show.
    """
    return torch.where(now.isfinite().all(-1, keepdim=True), means.lerp(now, _WEIGHT), means)


def _halves(batch: Sequence[Examples], dim: int) -> list[Sequence[Examples]]:
    """Divide a batch by its parts, or the items of the only one."""
    if len(batch) > 1:
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]
    ((inputs, targets),) = batch
    pairs = zip(inputs.tensor_split(2, dim), targets.tensor_split(2, dim), strict=True)
    return [[half] for half in pairs]
