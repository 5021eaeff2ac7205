"""Divide items into splits whose groups, as a patient's or a user's items, stay whole."""

import torch
from torch import Tensor

from plugins.dataset import _split


def divide(
    targets: Tensor,
    groups: Tensor,
    *,
    val: float,
    test: float = 0.0,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
) -> _split.Parts:
    """Divide as `_split.divide` does, but keep the items of each of `groups` [N] in one split.

    The largest group comes first, and each goes to the split that lacks most of its classes, so
    that shares are met as well as whole groups allow.
    """
    _, group = groups.unique(return_inverse=True)
    _, label = targets.unique(return_inverse=True)
    counts = torch.zeros(int(group.max()) + 1, int(label.max()) + 1, dtype=torch.double)
    counts.index_put_((group, label), torch.ones(len(group), dtype=torch.double), accumulate=True)
    order = _split.shuffled(len(counts), seed)
    order = order[counts[order].sum(1).argsort(descending=True, stable=True)]
    if folds is None:
        part = _dealt(counts, order, [1 - val - test, val, test])[group]
        return _split.in_stored_order(*((part == split).nonzero().flatten() for split in range(3)))
    in_test = _dealt(counts, order, [1 - test, test]) == 1
    part = torch.full_like(in_test, -1, dtype=torch.long)
    rest = order[~in_test[order]]
    part[rest] = _dealt(counts[rest], torch.arange(len(rest)), [1 / folds] * folds)
    own, test_items = part[group] == fold, in_test[group]
    parts = (~own & ~test_items, own, test_items)
    return _split.in_stored_order(*(mask.nonzero().flatten() for mask in parts))


def _dealt(counts: Tensor, order: Tensor, shares: list[float]) -> Tensor:
    """Return the part of each group [G], whose items of each class are `counts` [G, C].

    `order` says which group is dealt first; no part that has a share stays empty.
    """
    import numpy as np

    total = counts.sum(0)
    wanted = [part for part, share in enumerate(shares) if share]
    _split.expect(len(counts), len(wanted), "groups")
    # Arrays of numpy, whose small sums take a fifth of the time of torch's.
    lacking = np.outer([shares[part] for part in wanted], total)
    weights = (counts / total.clamp(min=1)).numpy()  # a class may lie in the test split alone
    numbers, empty = counts.numpy(), set(range(len(wanted)))
    parts = torch.empty(len(counts), dtype=torch.long)
    dealt = parts.numpy()
    for left, index in zip(range(len(counts), 0, -1), order.tolist(), strict=True):
        gain = lacking @ weights[index]
        if left <= len(empty):
            gain[[part for part in range(len(wanted)) if part not in empty]] = -np.inf
        best = int(gain.argmax())
        empty.discard(best)
        lacking[best] -= numbers[index]
        dealt[index] = wanted[best]
    return parts
