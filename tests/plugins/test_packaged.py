"""The data sets that come with scikit-learn are those that it loads itself."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets

from experiments import DataError, Splits, Task, lookup

CLASSES = {"iris": 3, "wine": 3, "breast_cancer": 2}


def load(name: str, **settings: Any) -> Splits:
    splits = lookup("dataset", name)(**settings).load()  # type: ignore[attr-defined]
    assert isinstance(splits, Splits)
    return splits


def tensors(splits: Splits) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [splits.train, splits.val, splits.test]
    inputs, targets = zip(*(part.tensors for part in parts), strict=True)  # type: ignore[attr-defined]
    return torch.cat(inputs), torch.cat(targets)


def rows(inputs: Any, targets: Any) -> list[list[float]]:
    """Return items as sorted rows of float32, whatever order they came in."""
    table = np.column_stack([np.asarray(inputs, np.float32), np.asarray(targets, np.float32)])
    return sorted(table.tolist())


@pytest.mark.parametrize("name", CLASSES)
def test_a_classification_is_that_of_scikit_learn(name: str) -> None:
    wanted, splits = getattr(datasets, f"load_{name}")(), load(name)
    assert rows(*tensors(splits)) == rows(wanted.data, wanted.target)
    assert splits.spec.task is Task.classification
    assert splits.spec.classes == tuple(map(str, wanted.target_names))
    assert splits.notes == (f"inputs: {', '.join(wanted.feature_names)}",)
    normal = (splits.train.tensors[0] - splits.spec.mean) / splits.spec.std  # type: ignore[attr-defined]
    assert normal.mean(0).abs().max() < 1e-3


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_gives_its_share(name: str) -> None:
    splits = load(name)
    whole = tensors(splits)[1].bincount()
    for part, most in ((splits.val, 1), (splits.test, 2)):
        counts = part.tensors[1].bincount(minlength=CLASSES[name])  # type: ignore[attr-defined]
        assert (counts - 0.15 * whole).abs().max() <= most


def test_diabetes_is_a_regression_with_scaled_targets() -> None:
    wanted, splits = datasets.load_diabetes(scaled=False), load("diabetes")
    assert rows(*tensors(splits)) == rows(wanted.data, wanted.target)
    assert splits.spec.task is Task.regression
    targets = splits.train.tensors[1]  # type: ignore[attr-defined]
    assert float(splits.spec.target_mean) == pytest.approx(float(targets.mean()))
    assert float(splits.spec.target_std) == pytest.approx(float(targets.std(correction=0)))


@pytest.mark.parametrize("name", [*CLASSES, "diabetes", "digits"])
def test_every_item_is_in_the_val_split_of_one_fold(name: str) -> None:
    splits = [load(name, folds=5, fold=fold) for fold in range(5)]
    test = rows(splits[0].test.tensors[0].flatten(1), splits[0].test.tensors[1])  # type: ignore[attr-defined]
    found = [*test]
    for of_fold in splits:
        found += rows(of_fold.val.tensors[0].flatten(1), of_fold.val.tensors[1])  # type: ignore[attr-defined]
    inputs, targets = tensors(splits[0])
    assert sorted(found) == rows(inputs.flatten(1), targets)


def test_without_scikit_learn_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.dataset._packaged.find_spec", lambda _: None)
    with pytest.raises(DataError, match="expected scikit-learn"):
        load("iris")
