"""Decide what targets are: classes or numbers, and why."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experiments import DataError, Task, options

_ITEMS = 5  # of a class, on average, without which whole numbers are no classes


class Labels(NamedTuple):
    """Targets [N] of `classes`, or without them numbers [N] or [N, T]; and why they are that.

    Where there are several numbers for each item they have `names`.
    """

    targets: Tensor
    classes: tuple[str, ...]
    reason: str
    names: tuple[str, ...] = ()


def decide(source: str, name: str, found: Any, task: Task | None, classes: Sequence[str]) -> Labels:
    """Return what targets [N, T] are, numbers or texts, of the array called `name`.

    Texts are classes, and so are whole numbers that are few against the items, and rows that are 1
    in one column and else 0. Raises DataError where they are not what the task or the names of the
    `classes` say.
    """
    try:
        if not isinstance(found, Tensor):
            labels = _texts(name, found[:, 0].tolist(), task, classes)
        elif found.shape[1] > 1:
            labels = _columns(name, found, task, classes)
        else:
            labels = _numbers(name, found[:, 0], task, classes)
        _check(labels, classes)
    except ValueError as error:
        raise DataError(f"{source}: array {name}: {error}") from error
    return labels


def _texts(name: str, texts: list[str], task: Task | None, classes: Sequence[str]) -> Labels:
    if task is Task.regression:
        raise ValueError("a regression needs numbers, found texts")
    different = {*texts}
    if len(different) == len(texts):
        raise ValueError("expected classes of several items, found another text for each")
    names = tuple(classes or sorted(different))
    for unknown in sorted(different - {*names}):
        raise ValueError(f"'{unknown}' is none of dataset.classes; {options(unknown, names)}")
    places = {text: place for place, text in enumerate(names)}
    return Labels(torch.tensor([places[text] for text in texts]), names, f"{name} has texts")


def _columns(name: str, values: Tensor, task: Task | None, classes: Sequence[str]) -> Labels:
    count = values.shape[1]
    one_hot = bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all())
    if task is not Task.regression and one_hot:
        names = classes or [str(column) for column in range(count)]
        reason = f"{name} is 1 in one column of each row, else 0; dataset.task=regression otherwise"
        return Labels(values.argmax(1), tuple(names), reason)
    if task is Task.classification:
        raise ValueError(f"expected one class for each item, found {count} numbers")
    names = tuple(f"{name}[{column}]" for column in range(count))
    return Labels(_stored(values), (), f"{name} has {count} numbers for each item", names)


def _numbers(name: str, values: Tensor, task: Task | None, classes: Sequence[str]) -> Labels:
    different, places = values.unique(return_inverse=True)
    whole = not values.is_floating_point()
    few = len(different) <= max(2, len(values) // _ITEMS)
    told = f"{name} has {len(different)} different {'whole numbers' if whole else 'floats'}"
    if task is Task.regression or (task is None and not (whole and few)):
        return Labels(_stored(values), (), f"{told}; dataset.task=classification otherwise")
    reason = f"{told}; dataset.task=regression otherwise"
    if classes and bool((values == values.round()).all()):
        return Labels(values.long(), tuple(classes), reason)
    return Labels(places, tuple(f"{value:.15g}" for value in different.tolist()), reason)


def _check(labels: Labels, classes: Sequence[str]) -> None:
    if classes and not labels.classes:
        raise ValueError(f"expected classes, which dataset.classes names; {labels.reason}")
    lowest, highest = (value.item() for value in labels.targets.aminmax())
    if lowest == highest:
        raise ValueError(f"expected different targets, found {lowest:g} alone")
    if labels.classes and not 0 <= lowest <= highest < len(labels.classes):
        raise ValueError(
            f"expected classes from 0 to {len(labels.classes) - 1}, as dataset.classes has "
            f"{len(labels.classes)} names, found {lowest if lowest < 0 else highest}"
        )


def _stored(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
