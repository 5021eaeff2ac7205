"""Divide items into the train, val and test splits."""

import torch
from torch import Tensor

from experiments import DataError

Parts = tuple[Tensor, Tensor, Tensor]


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
    rest = _shuffled(len(targets), seed)
    rest = rest[targets[rest].argsort(stable=True)]
    if folds is None:
        val_items, rest = _draw(rest, _count(len(targets), val))
        test_items, rest = _draw(rest, _count(len(targets), test))
    else:
        test_items, rest = _draw(rest, _count(len(targets), test))
        _enough(len(rest), folds)
        own = torch.arange(len(rest)) % folds == fold
        val_items, rest = rest[own], rest[~own]
    return _sorted(rest, val_items, test_items)


def divide_groups(
    targets: Tensor,
    groups: Tensor,
    *,
    val: float,
    test: float = 0.0,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
) -> Parts:
    """Divide as `divide` does, but keep the items of each of `groups` [N] in one split.

    The largest group comes first, and each goes to the split that lacks most of its classes, so
    that shares are met as well as whole groups allow.
    """
    _, group = groups.unique(return_inverse=True)
    _, label = targets.unique(return_inverse=True)
    counts = torch.zeros(int(group.max()) + 1, int(label.max()) + 1, dtype=torch.double)
    counts.index_put_((group, label), torch.ones(len(group), dtype=torch.double), accumulate=True)
    order = _shuffled(len(counts), seed)
    order = order[counts[order].sum(1).argsort(descending=True, stable=True)]
    if folds is None:
        part = _dealt(counts, order, [1 - val - test, val, test])[group]
        return _sorted(*((part == split).nonzero().flatten() for split in range(3)))
    in_test = _dealt(counts, order, [1 - test, test]) == 1
    part = torch.full_like(in_test, -1, dtype=torch.long)
    rest = order[~in_test[order]]
    part[rest] = _dealt(counts[rest], torch.arange(len(rest)), [1 / folds] * folds)
    own, test_items = part[group] == fold, in_test[group]
    parts = (~own & ~test_items, own, test_items)
    return _sorted(*(mask.nonzero().flatten() for mask in parts))


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
        return _sorted(rest[:start], rest[stop:], test_items)
    _enough(len(rest), folds + 1)
    length = len(rest) // (folds + 1)
    start = len(rest) - (folds - fold) * length
    return _sorted(rest[:start], rest[start : start + length], test_items)


def _shuffled(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed % 2**63))


def _count(items: int, fraction: float) -> int:
    return max(1, round(items * fraction)) if fraction else 0


def _draw(items: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return `count` items at even distances (Bresenham, 1965), and the others."""
    drawn = torch.arange(len(items)) * count % max(len(items), 1) < count
    return items[drawn], items[~drawn]


def _dealt(counts: Tensor, order: Tensor, shares: list[float]) -> Tensor:
    """Return the part of each group [G], whose items of each class are `counts` [G, C].

    `order` says which group is dealt first; no part that has a share stays empty.
    """
    total = counts.sum(0)
    wanted = [part for part, share in enumerate(shares) if share]
    _enough(len(counts), len(wanted), "groups")
    lacking = torch.tensor([shares[part] for part in wanted]).double()[:, None] * total
    weights = counts / total
    empty = set(range(len(wanted)))
    parts = torch.empty(len(counts), dtype=torch.long)
    for left, index in zip(range(len(counts), 0, -1), order.tolist(), strict=True):
        gain = lacking @ weights[index]
        if left <= len(empty):
            gain[[part for part in range(len(wanted)) if part not in empty]] = -torch.inf
        best = int(gain.argmax())
        empty.discard(best)
        lacking[best] -= counts[index]
        parts[index] = wanted[best]
    return parts


def _enough(found: int, least: int, what: str = "items") -> None:
    if found < least:
        raise DataError(f"{found} {what} are too few to be divided into {least} parts.")


def _sorted(train: Tensor, val: Tensor, test: Tensor) -> Parts:
    if not len(train):
        total = len(train) + len(val) + len(test)
        raise DataError(f"{total} items are too few for the splits train, val and test.")
    return train.sort().values, val.sort().values, test.sort().values
