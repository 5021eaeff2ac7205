"""The mean and standard deviation of items, computed in parts: float64 has eight times a byte."""

from collections.abc import Callable

import torch
from torch import Tensor

_VALUES = 2**22  # of a part
_EPS = torch.finfo(torch.float32).eps


def of(
    values: Tensor, axis: int, items: Tensor | None = None, *, constant: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return both over all axes of values [N, ...] but one, of the `items` [n] or of all.

    They broadcast over one item, and are in float64 where the values are, else in float32. What
    never changes has the deviation `constant`.
    """
    items = torch.arange(len(values)) if items is None else items
    dims = [dim for dim in range(values.dim()) if dim != axis % values.dim()]
    count = values[0].numel() // values.shape[axis] * len(items)
    parts = items.split(max(1, _VALUES // values[0].numel()))

    def mean_of(change: Callable[[Tensor], Tensor]) -> Tensor:
        sums = [change(values[part].double()).sum(dims, keepdim=True) for part in parts]
        return torch.stack(sums).sum(0)[0] / count

    mean = mean_of(lambda part: part)
    std = mean_of(lambda part: (part - mean).square()).sqrt()
    std = torch.where(std > _EPS * mean.abs(), std, constant)
    dtype = values.dtype if values.dtype == torch.float64 else torch.float32
    return mean.to(dtype), std.to(dtype)


def of_targets(targets: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Return those of a regression's targets [N], each one number, or [N, T], each [T]."""
    mean, std = of(targets.reshape(len(targets), -1), -1, items)
    return mean.squeeze(), std.squeeze()
