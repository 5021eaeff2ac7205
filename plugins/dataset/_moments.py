"""The mean and standard deviation of items, computed in blocks: float64 has eight times a byte."""

from collections.abc import Iterator

import torch
from torch import Tensor

_NUMBERS = 2**18  # of a block, whose float64 copy a processor's cache holds


def of(
    values: Tensor, axis: int | None, items: Tensor | None = None, *, constant: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return both over all axes of values [N, ...] but one, of the `items` [n] or of all.

    They broadcast over one item, or with no axis are 0-d, and are in float64 where the values are,
    else in float32. What never changes, but for rounding, has the deviation `constant`.
    """
    dims = [dim for dim in range(values.dim()) if axis is None or dim != axis % values.dim()]

    def total(parts: Iterator[Tensor]) -> Tensor:
        sums = torch.stack([part.sum(dims, keepdim=True) for part in parts]).sum(0)
        return sums.squeeze() if axis is None else sums[0]

    chosen = len(values) if items is None else len(items)
    count = values[0].numel() * chosen // (1 if axis is None else values.shape[axis])
    mean = total(_blocks(values, items)) / count
    squares = total((block - mean).square_() for block in _blocks(values, items))
    std = (squares / count).sqrt()
    dtype = torch.float64 if values.dtype == torch.float64 else torch.float32
    changes = std > torch.finfo(dtype).eps * mean.abs()
    return mean.to(dtype), torch.where(changes, std, constant).to(dtype)


def of_targets(targets: Tensor, items: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return those of a regression's targets [N], each one number, or [N, T], each [T]."""
    mean, std = of(targets.reshape(len(targets), -1), -1, items)
    return mean.squeeze(), std.squeeze()


def _blocks(values: Tensor, items: Tensor | None) -> Iterator[Tensor]:
    size = max(1, _NUMBERS // values[0].numel())
    parts = values.split(size) if items is None else (values[part] for part in items.split(size))
    return (part.double() for part in parts)
