"""A step beside parameters and gradient: lengths, angles and rates, whole and layer by layer.

A layer is one tensor of the model. Shapes: vectors are [P], in lanes [K, P]; what is measured is
[L + 1, ...], in lanes [K, L + 1, ...]: first the whole model, then each of L layers.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from experiments.rules.layout import Layout

NAMES = (
    "norm/params",
    "norm/gradient",
    "norm/update",
    "update_ratio",  # of the lengths of update and parameters
    "cosine_update",  # of update and gradient
    "cosine_gradients",  # of this step's gradient and the one before
    "effective_lr_q05",  # quantiles of |update| / |gradient|, number by number
    "effective_lr_q50",
    "effective_lr_q95",
)
_QUANTILES = 0.05, 0.5, 0.95
_SAMPLE = 2**11  # numbers of a layer that quantiles are taken of: within a percent of the rank
_GOLDEN = (5**0.5 - 1) / 2


def quantities(
    layout: Layout, *, params: Tensor, gradient: Tensor, update: Tensor, previous: Tensor
) -> Tensor:
    """Return what `NAMES` says, of a gradient, the one before, and what was subtracted."""
    pairs = [(params, params), (gradient, gradient), (update, update), (previous, previous)]
    products = dots(layout, [*pairs, (update, gradient), (gradient, previous)])
    own, slope, step, before = products[..., :4].sqrt().unbind(-1)
    along, turn = products[..., 4:].unbind(-1)
    found = [own, slope, step, step / own, along / (step * slope), turn / (slope * before)]
    parts = [slice(None), *_parts(layout)]
    rates = torch.stack([_rates(update[..., part], gradient[..., part]) for part in parts], -2)
    return torch.cat([torch.stack(found, -1), rates], -1)


def dots(layout: Layout, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the scalar products [..., L + 1, N] of N pairs of vectors."""
    parts = _parts(layout)
    rows = [
        torch.stack([(one[..., part] * two[..., part]).sum(-1) for one, two in pairs], -1)
        for part in parts
    ]
    of_layers = torch.stack(rows, -2)
    return torch.cat([of_layers.sum(-2, keepdim=True), of_layers], -2)


def _parts(layout: Layout) -> list[slice]:
    return [slice(place.start, place.stop) for place in layout.places]


def _rates(update: Tensor, gradient: Tensor) -> Tensor:
    """Return quantiles [..., 3] over the numbers [..., n] whose gradient is not zero."""
    places = _spread(gradient.shape[-1]).to(gradient.device)
    step, slope = update[..., places].abs(), gradient[..., places].abs()
    rates = torch.where(slope > 0, step / slope, torch.nan)
    return torch.nanquantile(rates, rates.new_tensor(_QUANTILES), dim=-1).movedim(0, -1)


@cache
def _spread(count: int) -> Tensor:
    """Return places among so many, evenly spread but in step with no row of a matrix."""
    if count <= _SAMPLE:
        return torch.arange(count)
    return (torch.arange(_SAMPLE, dtype=torch.float64) * _GOLDEN % 1 * count).long()
