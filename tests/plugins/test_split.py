"""How items are divided: at random, by groups, in an order, and into folds."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit

from experiments import DataError
from plugins.dataset import _groups, _split

counts_of_classes = st.lists(st.integers(1, 30), min_size=1, max_size=5)
folds_of = st.integers(2, 6)
seeds = st.integers(0, 2**70)


def labels(counts: list[int]) -> torch.Tensor:
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))]


@given(counts=counts_of_classes, folds=folds_of, test=st.floats(0, 0.4), seed=seeds)
def test_each_item_is_in_one_fold_and_each_class_in_all_alike(
    counts: list[int], folds: int, test: float, seed: int
) -> None:
    targets = labels(counts)
    assume(len(targets) >= 2 * folds)
    parts = [
        _split.divide(targets, val=0.15, test=test, seed=seed, folds=folds, fold=fold)
        for fold in range(folds)
    ]
    test_items = parts[0][2]
    assert len(test_items) == (max(1, round(len(targets) * test)) if test else 0)
    for train, val, same in parts:
        assert torch.equal(same, test_items)
        assert torch.equal(torch.cat([train, val, same]).sort().values, torch.arange(len(targets)))
    rest = torch.cat([val for _, val, _ in parts])
    assert torch.equal(rest.sort().values, torch.cat(parts[0][:2]).sort().values)
    drawn = torch.stack([targets[val].bincount(minlength=len(counts)) for _, val, _ in parts])
    assert (drawn.max(0).values - drawn.min(0).values).max() <= 1


def test_folds_have_the_sizes_of_scikit_learns() -> None:
    targets = labels([50, 31, 9])
    ours = sorted(
        targets[_split.divide(targets, val=0, seed=0, folds=4, fold=fold)[1]].bincount().tolist()
        for fold in range(4)
    )
    theirs = sorted(
        np.bincount(targets[val]).tolist()
        for _, val in StratifiedKFold(4).split(targets.numpy(), targets.numpy())
    )
    assert [sum(column) for column in zip(*ours, strict=True)] == [50, 31, 9]
    assert np.abs(np.array(ours) - np.array(theirs)).max() <= 1


@given(
    sizes=st.lists(st.integers(1, 20), min_size=5, max_size=30),
    classes=st.integers(1, 3),
    folds=st.none() | st.integers(2, 4),
    seed=seeds,
)
def test_groups_stay_whole(sizes: list[int], classes: int, folds: int | None, seed: int) -> None:
    groups = labels(sizes) * 7 - 3
    targets = torch.arange(len(groups)) % classes
    assume(folds is None or len(sizes) > folds)
    vals = []
    for fold in range(folds or 1):
        parts = _groups.divide(
            targets, groups, val=0.2, test=0.2, seed=seed, folds=folds, fold=fold
        )
        assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(groups)))
        sides = [set(groups[part].tolist()) for part in parts]
        assert all(sides)
        assert sum(map(len, sides)) == len(sizes)
        vals.append(parts[1])
        assert all(len(part) <= 0.2 * len(groups) + max(sizes) for part in parts[2:])
    assert len(set(torch.cat(vals).tolist())) == sum(map(len, vals))


def test_shares_are_met_where_groups_allow() -> None:
    groups, targets = torch.arange(400) // 4, torch.arange(400) // 4 % 2
    parts = _groups.divide(targets, groups, val=0.2, test=0.1, seed=0)
    assert [len(part) for part in parts] == [280, 80, 40]
    assert [targets[part].sum().item() for part in parts] == [140, 40, 20]
    folds = [
        _groups.divide(targets, groups, val=0, seed=0, folds=5, fold=fold)[1] for fold in range(5)
    ]
    assert [(len(val), targets[val].sum().item()) for val in folds] == [(80, 40)] * 5


def test_an_order_puts_the_earliest_in_train() -> None:
    order = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0, 0.0, 9.0, 8.0, 7.0, 6.0])
    train, val, test = _split.divide_in_order(order, val=0.2, test=0.3)
    assert order[train].max() < order[val].min()
    assert order[val].max() < order[test].min()
    assert [len(train), len(val), len(test)] == [5, 2, 3]


@given(items=st.integers(12, 60), folds=st.integers(2, 5))
def test_folds_in_an_order_are_scikit_learns(items: int, folds: int) -> None:
    expected = TimeSeriesSplit(folds).split(np.zeros(items))
    for fold, (train, val) in enumerate(expected):
        ours = _split.divide_in_order(torch.arange(items), val=0.1, folds=folds, fold=fold)
        assert [ours[0].tolist(), ours[1].tolist()] == [train.tolist(), val.tolist()]
        assert not len(ours[2])


def test_too_few_items_for_the_folds_are_refused() -> None:
    few = torch.zeros(3)
    with pytest.raises(DataError, match="3 items are too few"):
        _split.divide(few, val=0.1, seed=0, folds=5, fold=0)
    with pytest.raises(DataError, match="3 items are too few"):
        _split.divide_in_order(few, val=0.1, folds=3)
    with pytest.raises(DataError, match="1 groups are too few"):
        _groups.divide(few, few, val=0.2, test=0.2, seed=0)


@pytest.mark.parametrize(
    ("folds", "fold", "told"), [(None, 1, "needs folds"), (3, 3, "must be from 0 to 2")]
)
def test_a_fold_that_is_none_is_refused(folds: int | None, fold: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        _split.check(0.15, 0.15, folds, fold)
