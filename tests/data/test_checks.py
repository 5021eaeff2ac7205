"""What a data set's author is told before the first step: plugin, split and item."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from problems import CPU, items, labels, numbers, spec
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from experiments import DataError, Dataset, Splits, register
from experiments.data.batches import Batches
from experiments.data.cache import load_splits
from experiments.data.doubts import judged, targets_of
from experiments.data.preprocessing import Preprocessing

pytestmark = pytest.mark.usefixtures("own_registry")

CLASSES = spec([4], 3)
NUMBERS = spec([4])


def splits(**changes: Any) -> Splits:
    parts = {name: items(9, [4], 3, seed) for seed, name in enumerate(("train", "val", "test"))}
    return Splits(**{"spec": CLASSES, "source": "", **parts, **changes})


@pytest.fixture
def told(tmp_path: Any) -> Callable[..., str]:
    """Load what a data set returns, and return the message."""

    def load(returned: Any) -> str:
        @register("mine")
        class Mine(Dataset):
            """Returns what it is given."""

            def load(self) -> Splits:
                return returned  # type: ignore[no-any-return]

        with pytest.raises(DataError) as error:
            load_splits(Mine(), tmp_path, keep=False)
        return str(error.value)

    return load


def wrong_at(place: int, value: float, *, of: Tensor) -> Tensor:
    changed = of.clone()
    changed[place] = value
    return changed


INPUTS = numbers(9, 4, dtype=torch.float32)
LABELS = labels(9, 3)
ENDLESS = wrong_at(2, math.inf, of=INPUTS[:, 0])
REFUSED = {
    "no splits": (lambda: (1, 2), r"dataset=mine \(.*\): expected Splits of load\(\), found tuple"),
    "no spec": (lambda: splits(spec={}), "expected Splits with a DataSpec of load(), found dict"),
    "an iterator": (lambda: splits(val=iter([])), "split val: expected items with a number"),
    "empty": (lambda: splits(test=Subset(items(2, [4], 3), [])), "split test: expected items"),
    "a tensor": (lambda: splits(train=TensorDataset(INPUTS)), "inputs and targets, found 1"),
    "a shape": (
        lambda: splits(val=TensorDataset(INPUTS[:, :3], LABELS)),
        "split val, item 0: expected inputs of shape [4], as its spec says, found [3]",
    ),
    "a label": (
        lambda: splits(test=TensorDataset(INPUTS, wrong_at(5, 3, of=LABELS))),
        "split test, item 5: expected a class from 0 to 2, found 3",
    ),
    "a negative label": (
        lambda: splits(train=TensorDataset(INPUTS, wrong_at(8, -1, of=LABELS))),
        "split train, item 8: expected a class from 0 to 2, found -1",
    ),
    "floats as labels": (
        lambda: splits(train=TensorDataset(INPUTS, LABELS.float())),
        "split train: expected classes as whole numbers, found float32",
    ),
    "one-hot labels": (
        lambda: splits(train=TensorDataset(INPUTS, torch.eye(9, 3).long())),
        "split train, item 0: expected one number as target, found [3]",
    ),
    "NaN": (
        lambda: splits(val=TensorDataset(wrong_at(7, math.nan, of=INPUTS), LABELS)),
        "split val, item 7: expected inputs that are finite, found nan",
    ),
    "an infinite target": (
        lambda: splits(spec=NUMBERS, val=TensorDataset(INPUTS, ENDLESS)),
        "split val, item 2: expected a finite target, found inf",
    ),
    "no pair": (
        lambda: splits(train=[torch.zeros(4)]),
        "split train, item 0: expected inputs and a target, found a Tensor",
    ),
    "an error": (
        lambda: splits(train={1: "a"}),
        "split train, item 0: KeyError: 0",
    ),
    "shapes that differ": (
        lambda: splits(fixed=True, val=[(torch.zeros(4), 0), (torch.zeros(5), 1)]),
        "split val, item 1: expected inputs of shape [4], as its spec says, found [5]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_author_is_told(case: str, told: Callable[..., str]) -> None:
    make, message = REFUSED[case]
    found = told(make())
    assert found.startswith("dataset=mine")
    assert message in found or re.search(message, found)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_labels_of_any_whole_type_are_classes(dtype: torch.dtype, tmp_path: Path) -> None:
    many = spec([4], 256 if dtype is torch.uint8 else 128)
    data = TensorDataset(numbers(128, 4), torch.arange(128).to(dtype))

    @register("narrow")
    class Narrow(Dataset):
        """Labels in a narrow type."""

        def load(self) -> Splits:
            return Splits(spec=many, train=data, val=data, test=data, source="")

    found = load_splits(Narrow(), tmp_path, keep=False)
    assert sum(found.spec.counts) == 128
    targets = targets_of(found.train, many)
    assert targets is not None
    assert targets.dtype == torch.int64


@pytest.mark.parametrize("given", [["a", "b", "c"], [1, 2, 3], [0.0, 1.0, 2.0], [0, 1], None])
def test_targets_that_are_not_those_of_the_items_are_not_used(given: Any) -> None:
    class Others(list[tuple[Tensor, int]]):
        targets = given

    assert targets_of(Others([(torch.zeros(4), 0)] * 3), CLASSES) is None


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((torch.full((4,), math.nan), 0), "expected inputs that are finite, found nan"),
        ((torch.zeros(4), 3), "expected a class from 0 to 2, found 3"),
    ],
)
def test_items_read_one_by_one_are_checked_batch_by_batch(
    wrong: tuple[Tensor, int], message: str, workers: int, fixed: bool, tmp_path: Path
) -> None:
    given = [(torch.zeros(4), 0)] * 9
    given[5] = wrong
    parts: dict[str, Any] = dict.fromkeys(("train", "val", "test"), given)

    @register("lazy")
    class Lazy(Dataset):
        """Gives items one by one."""

        def load(self) -> Splits:
            return Splits(spec=CLASSES, source="", fixed=fixed, **parts)

    with pytest.raises(DataError) as error:
        found = load_splits(Lazy(), tmp_path, keep=False, workers=workers)
        made = Preprocessing(CLASSES, device=CPU, dtype=torch.float32)
        source = Batches(found.train, made, batch_size=2, device=CPU, workers=workers)
        list(source.epoch(1, [0]))
    assert str(error.value) == f"dataset=lazy, split train, item 5: {message}."


def test_absent_classes_are_told_and_the_others_counted() -> None:
    rare = TensorDataset(INPUTS, torch.zeros(9, dtype=torch.long))
    found = judged(splits(val=rare))
    assert sum(found.spec.counts) == 9
    assert "val has no item of 2 of 3 classes: 1, 2." in found.warnings


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_items_of_train_in_other_splits_are_counted(dtype: torch.dtype) -> None:
    train = torch.arange(9 * 4).view(9, 4).to(dtype)
    val = torch.cat([train[:2], train[5:6] + 100])
    parts = {"train": TensorDataset(train, LABELS), "val": TensorDataset(val, LABELS[:3])}
    found = judged(splits(**parts))
    assert [told for told in found.warnings if "in train" in told] == [
        "2 of 3 items of val are in train, too: a model that has learnt them by heart is right "
        "about them."
    ]
    assert not [told for told in judged(splits()).warnings if "in train" in told]


def test_bits_that_differ_make_other_items() -> None:
    train = torch.zeros(1, 64, dtype=torch.uint8)
    val = torch.zeros(65, 64, dtype=torch.uint8)
    val[torch.arange(64), torch.arange(64)] = 128
    val[64, [7, 15]] = 128
    given = splits()
    given = replace(given, train=TensorDataset(train, LABELS[:1]))
    given = replace(given, val=TensorDataset(val, torch.zeros(65).long()))
    assert not [told for told in judged(given).warnings if "in train" in told]
