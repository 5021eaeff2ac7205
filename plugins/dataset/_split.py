"""Divide items into the train, val and test splits."""

import torch
from torch import Tensor

from experiments import DataError


def check(val_fraction: float, test_fraction: float) -> None:
    """Raise ValueError where two fractions leave nothing to train on."""
    if val_fraction + test_fraction >= 1:
        raise ValueError(
            f"val_fraction={val_fraction:g} and test_fraction={test_fraction:g} leave nothing "
            "to train on; their sum must be below 1"
        )


def divide(
    targets: Tensor, *, val: float, test: float = 0.0, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the indices of the train, val and test items, each in stored order.

    Items are drawn at random; every class of `targets` gives its share to within one item of the
    val split and two of the test split. A fraction above 0 gives at least one item. Raises
    DataError where none is left to train on.
    """
    rest = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed % 2**63))
    rest = rest[targets[rest].argsort(stable=True)]
    parts = []
    for fraction in (val, test):
        count = max(1, round(len(targets) * fraction)) if fraction else 0
        drawn = _spread(len(rest), count)
        parts.append(rest[drawn].sort().values)
        rest = rest[~drawn]
    if not len(rest):
        raise DataError(f"{len(targets)} items are too few for the splits train, val and test.")
    return rest.sort().values, parts[0], parts[1]


def _spread(length: int, count: int) -> Tensor:
    """Mark `count` of `length` places in a row at even distances (Bresenham, 1965)."""
    return torch.arange(length) * count % max(length, 1) < count
