"""Divide items into the train, val and test splits."""

import torch
from torch import Tensor

from experiments import DataError

Parts = tuple[Tensor, Tensor, Tensor]
# What the folder or the arrays of a split may be called.
NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def check(
    val_fraction: float, test_fraction: float, folds: int | None = None, fold: int = 0
) -> None:
    """Raise ValueError where two fractions leave nothing to train on, or there is no such fold."""
    if folds is None and val_fraction + test_fraction >= 1:
        raise ValueError(
            f"val_fraction={val_fraction:g} and test_fraction={test_fraction:g} leave nothing "
            "to train on; their sum must be below 1"
        )
    if folds is None and fold:
        raise ValueError(f"fold={fold} needs folds, the number of parts of a cross-validation")
    if folds is not None and fold >= folds:
        raise ValueError(f"fold={fold} must be from 0 to {folds - 1}, as folds={folds}")


def divide(
    targets: Tensor,
    *,
    val: float,
    test: float = 0.0,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
) -> Parts:
    """Return the indices of the train, val and test items, each in stored order.

    Items are drawn at random; every class of `targets` gives its share to within one item of the
    split that is drawn first and two of the other. A fraction above 0 gives at least one item.
    With `folds` the test split is drawn first, and the val split is part `fold` of the rest: each
    of these items is in one part, and each class in all of them alike, to within one item. Raises
    DataError where there are too few items.
    """
    rest = shuffled(len(targets), seed)
    if targets.any():  # or all are alike, as those of a regression
        rest = rest[targets[rest].argsort(stable=True)]
    if folds is None:
        val_items, rest = _draw(rest, _count(len(targets), val))
        test_items, rest = _draw(rest, _count(len(targets), test))
    else:
        test_items, rest = _draw(rest, _count(len(targets), test))
        expect(len(rest), folds)
        own = torch.arange(len(rest)) % folds == fold
        val_items, rest = rest[own], rest[~own]
    return in_stored_order(rest, val_items, test_items)


def divide_in_order(
    order: Tensor, *, val: float, test: float = 0.0, folds: int | None = None, fold: int = 0
) -> Parts:
    """Divide items by the rising `order` [N]: train is the earliest, then val, then test.

    With `folds` the items before the test split are cut into folds + 1 blocks of the same length,
    the first of which may be longer; part `fold` is the block after the first fold + 1, and train
    is all before it.
    """
    rest = order.argsort(stable=True)
    count = _count(len(rest), test)
    rest, test_items = rest[: len(rest) - count], rest[len(rest) - count :]
    if folds is None:
        start = stop = max(0, len(rest) - _count(len(order), val))
        return in_stored_order(rest[:start], rest[stop:], test_items)
    expect(len(rest), folds + 1)
    length = len(rest) // (folds + 1)
    start = len(rest) - (folds - fold) * length
    return in_stored_order(rest[:start], rest[start : start + length], test_items)


def shuffled(count: int, seed: int) -> Tensor:
    """Return the numbers below `count` in an order that the seed decides."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed % 2**63))


def _count(items: int, fraction: float) -> int:
    return max(1, round(items * fraction)) if fraction else 0


def _draw(items: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return `count` items at even distances (Bresenham, 1965), and the others."""
    drawn = torch.arange(len(items)) * count % max(len(items), 1) < count
    return items[drawn], items[~drawn]


def expect(found: int, least: int, what: str = "items") -> None:
    """Raise DataError where there are fewer than the parts that need one each."""
    if found < least:
        raise DataError(f"{found} {what} are too few to be divided into {least} parts.")


def in_stored_order(train: Tensor, val: Tensor, test: Tensor) -> Parts:
    """Return the parts with their indices rising; raise DataError where train has none."""
    if not len(train):
        total = len(train) + len(val) + len(test)
        raise DataError(f"{total} items are too few for the splits train, val and test.")
    length = 1 + max(int(part.max()) for part in (train, val, test) if len(part))
    return _rising(train, length), _rising(val, length), _rising(test, length)


def _rising(indices: Tensor, length: int) -> Tensor:
    """Sort different indices by marking them, several times faster."""
    return torch.zeros(length, dtype=torch.bool).index_fill_(0, indices, True).nonzero().flatten()
