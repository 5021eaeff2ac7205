"""Batches: their order, the same from memory and from a loader, in lanes, normalised."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from problems import CPU, items, numbers, spec
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from experiments import DataSpec, Task
from experiments.data.batches import Batches
from experiments.data.preprocessing import Batch, Preprocessing


class OneByOne(Dataset[tuple[Any, Any]]):
    """Gives items made on the fly: an array, and a Python number."""

    def __init__(self, items: TensorDataset) -> None:
        self.inputs, self.targets = items.tensors

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return np.asarray(self.inputs[index]), self.targets[index].item()


def batches(
    data: Dataset[Any],
    described: DataSpec | None = None,
    *,
    size: int = 4,
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> Batches:
    described = described or spec((1, 4, 4), 3)
    preprocessing = Preprocessing(described, device=CPU, dtype=dtype)
    return Batches(data, preprocessing, batch_size=size, device=CPU, **options)


def indices(count: int) -> TensorDataset:
    """Give items whose input and target are their index."""
    return TensorDataset(torch.arange(float(count)), torch.arange(float(count)))


def seen(source: Batches, epoch: int, *seeds: int, skip: int = 0) -> list[list[Any]]:
    return [targets.tolist() for _, targets in source.epoch(epoch, seeds, skip)]


def same(one: list[Batch], other: list[Batch]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and a.equal(b) for p in pairs for a, b in zip(*p, strict=True))


def test_an_epoch_gives_every_item_once_and_a_smaller_last_batch() -> None:
    source = batches(indices(11), spec(()))
    epoch = seen(source, 1, 0)
    assert [len(batch) for batch in epoch] == [4, 4, 3]
    assert sorted(index for batch in epoch for index in batch) == list(range(11))
    assert len(source) == 3
    assert source.size == 11


def test_the_order_comes_from_seed_and_epoch_alone() -> None:
    source = batches(indices(11), spec(()))
    first = seen(source, 1, 5)
    torch.rand(7)
    seen(source, 3, 5)
    assert seen(source, 1, 5) == first
    assert seen(batches(indices(11), spec(())), 1, 5) == first
    assert seen(source, 2, 5) != first
    assert seen(source, 1, 6) != first


def test_reading_takes_nothing_from_the_default_generator() -> None:
    for resident in (True, False):
        source = batches(items(10, (1, 4, 4), 3), resident=resident)
        before = torch.get_rng_state()
        list(source.epoch(1, [0]))
        list(source.in_order())
        source.first(2)
        assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("seeds", [[3], [3, 4, 5]])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_gives_the_same_batches_as_memory(seeds: list[int], workers: int) -> None:
    data = items(10, (1, 4, 4), 3)
    stored = list(batches(data).epoch(2, seeds))
    assert same(list(batches(data, resident=False).epoch(2, seeds)), stored)
    loader = batches(OneByOne(data), workers=workers)
    assert same(list(loader.epoch(2, seeds)), stored)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_loader_gives_the_same_pass_as_memory(classes: int) -> None:
    data, described = items(10, (1, 4, 4), classes), spec((1, 4, 4), classes)
    stored = batches(data, described)
    loader = batches(OneByOne(data), described)
    assert same(list(loader.in_order()), list(stored.in_order()))
    assert same([loader.first(3)], [stored.first(3)])


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("skip", [0, 1, 2, 3])
def test_skipping_resumes_an_epoch(skip: int, resident: bool) -> None:
    source = batches(indices(11), spec(()), resident=resident)
    assert seen(source, 4, 7, skip=skip) == seen(source, 4, 7)[skip:]
    assert seen(source, 4, 7, 8, skip=skip) == seen(source, 4, 7, 8)[skip:]


def test_each_lane_has_the_order_of_its_seed_alone() -> None:
    data = items(10, (1, 4, 4), 3)
    together = list(batches(data).epoch(2, [3, 9]))
    assert [list(inputs.shape) for inputs, _ in together] == [[2, n, 1, 4, 4] for n in (4, 4, 2)]
    for lane, seed in enumerate([3, 9]):
        alone = list(batches(data).epoch(2, [seed]))
        assert same([(inputs[lane], targets[lane]) for inputs, targets in together], alone)


def test_one_pass_keeps_the_stored_order() -> None:
    source = batches(indices(10), spec(()))
    stored = [targets.tolist() for _, targets in source.in_order()]
    assert stored == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(("count", "given"), [(1, 1), (7, 7), (10, 10), (99, 10)])
def test_the_first_items_are_one_batch_of_any_size(count: int, given: int) -> None:
    assert batches(indices(10), spec(())).first(count)[1].tolist() == list(range(given))


def test_an_empty_split_has_no_batches() -> None:
    source = batches(indices(0), spec(()))
    assert len(source) == 0
    assert list(source.in_order()) == []
    assert list(source.epoch(1, [0])) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_are_normalised_in_the_given_dtype(dtype: torch.dtype) -> None:
    data = items(6, (3, 2, 2), 3)
    mean, std = (
        torch.tensor([120.0, 90, 60]).view(3, 1, 1),
        torch.tensor([30.0, 20, 10]).view(3, 1, 1),
    )
    described = DataSpec(
        input_shape=(3, 2, 2), task=Task.classification, classes=("a", "b", "c"), mean=mean, std=std
    )
    for lanes in ([1], [1, 2]):
        inputs, targets = next(batches(data, described, size=6, dtype=dtype).epoch(1, lanes))
        raw = next(batches(data, spec((3, 2, 2), 3), size=6, dtype=dtype).epoch(1, lanes))[0]
        assert inputs.dtype == dtype
        assert targets.dtype == torch.long
        wanted: Tensor = (raw - mean.to(dtype)) * (1 / std.to(dtype))
        assert inputs.equal(wanted)
    assert raw.min() >= 0
    assert raw.max() > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_targets_of_a_regression_have_the_inputs_dtype(dtype: torch.dtype) -> None:
    data = TensorDataset(numbers(5, 2), torch.arange(5))
    assert batches(data, spec((2,)), dtype=dtype).first(2)[1].dtype == dtype
    assert batches(data, spec((2,), 5), dtype=dtype).first(2)[1].dtype == torch.long


def test_batches_are_made_when_they_are_asked_for() -> None:
    asked: list[int] = []

    class Counting(OneByOne):
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            asked.append(index)
            return super().__getitem__(index)

    source = batches(Counting(items(10, (1, 4, 4), 3)))
    list(islice(source.epoch(1, [0]), 1))
    assert len(asked) == 4


def test_balanced_chances_draw_rare_items_as_often_as_frequent_ones() -> None:
    classes = torch.tensor([0] * 950 + [1] * 50)
    weights = 1 / classes.bincount()[classes]
    data = TensorDataset(torch.arange(1000.0), torch.arange(1000.0))
    source = batches(data, spec(()), size=1000, weights=weights)
    first, second = (torch.tensor(seen(source, epoch, 3)[0]).long() for epoch in (1, 2))
    assert len(first) == 1000
    for drawn in (first, second):
        assert 400 < classes[drawn].sum() < 600
    assert not first.equal(second)
    assert seen(source, 1, 3) == [first.tolist()]
    lanes = torch.tensor(seen(source, 1, 3, 4))[0].long()
    assert lanes[0].equal(first)
