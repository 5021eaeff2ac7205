"""What a table is to predict: classes or numbers, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments import ConfigError, DataError, Task
from plugins.dataset import _tensors
from plugins.dataset._table._column import Column, Kind

_FEW = 20  # different whole numbers that are taken for classes
_NUMBERED = 100  # or so many, where they number the classes from 0 or 1 on
_OTHERWISE = "dataset.task=classification makes classes of them"
_ITEMS = 5  # of a class, on average, without which whole numbers are no classes


@dataclass(frozen=True, slots=True)
class Target:
    """Targets [N] of `classes`, or numbers [N] or [N, T], and why they are that."""

    values: Tensor
    classes: tuple[str, ...]
    reason: str


def decide(source: str, columns: Sequence[Column], task: Task | None) -> Target:
    """Return the target of one column, or of several; raise where they are none.

    Words and truth values are classes, and so are whole numbers that are few against the items.
    """
    for column in columns:
        if task is not Task.regression and bool((column.values == column.values[0]).all()):
            raise DataError(
                f"{source}: expected at least 2 values in '{column.name}', found 1; "
                "dataset.target names another column."
            )
    if len(columns) > 1:
        return _several(columns, task)
    column, items = columns[0], len(columns[0].values)
    if column.kind in {Kind.words, Kind.booleans}:
        return _worded(source, column, task)
    values = torch.tensor(column.values, dtype=_tensors.dtype_for(column.values))
    whole = column.kind is Kind.numbers and bool((column.values == column.values.round()).all())
    if not whole and task is not Task.classification:
        reason = f"'{column.name}' has numbers that are not whole; {_OTHERWISE}"
        return Target(values, (), reason)
    different, places = torch.tensor(column.values).unique(return_inverse=True)
    few = _are_few(different, items)
    told = f"'{column.name}' has {len(different)} different numbers in {items} items"
    if task is Task.regression or (task is None and not few):
        reason = f"{told}{'' if few else ', too many for classes'}; {_OTHERWISE}"
        return Target(values, (), reason)
    why = ", few enough for classes" if few else ""
    reason = f"{told}{why}; dataset.task=regression takes them for numbers"
    return Target(places, tuple(f"{value:.15g}" for value in different.tolist()), reason)


def _worded(source: str, column: Column, task: Task | None) -> Target:
    classes = column.words or ("False", "True")
    items = len(column.values)
    if task is Task.regression:
        raise DataError(
            f"{source}: a regression needs numbers in '{column.name}', found {column.kind.value} "
            "in each cell; dataset.target names another column."
        )
    if len(classes) == items:
        raise DataError(
            f"{source}: expected classes of several items in '{column.name}', found another word "
            f"in each of {items} rows; dataset.target names another column."
        )
    reason = (
        f"'{column.name}' has {len(classes)} different words; dataset.target names another column"
    )
    return Target(torch.tensor(column.values, dtype=torch.long), tuple(classes), reason)


def _several(columns: Sequence[Column], task: Task | None) -> Target:
    names = ", ".join(column.name for column in columns)
    for column in columns:
        if task is Task.classification or column.kind in {Kind.words, Kind.booleans}:
            raise ConfigError(
                f"dataset.target=[{names}]: several targets are a regression of numbers, and "
                f"'{column.name}' is to be classes; give one target."
            )
    arrays = [column.values for column in columns]
    dtype = _tensors.dtype_for(*arrays)
    values = torch.stack([torch.tensor(array, dtype=dtype) for array in arrays], dim=1)
    return Target(
        values,
        (),
        "There are several targets; dataset.target names one or more",
    )


def _are_few(different: Tensor, items: int) -> bool:
    """Say whether sorted whole numbers are few enough to be the names of classes."""
    if len(different) > max(2, items // _ITEMS):
        return False
    first, last = different[0].item(), different[-1].item()
    numbered = first in {0, 1} and last - first == len(different) - 1
    return len(different) <= (_NUMBERED if numbered else _FEW)
