"""What a data set gives, checked before it is trained on: each fault by split and item."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as Items
from torch.utils.data import TensorDataset

from experiments.errors import DataError
from experiments.plugin import registry
from experiments.plugin.kinds import Dataset
from experiments.plugin.spec import DataSpec, Splits, Task


def checked(splits: Any, dataset: Dataset) -> Splits:
    """Return what `load` has returned; items that are still to be read are checked when they are.

    Raises DataError naming plugin, split and item where it is something else than splits, an item
    has another shape than the spec says, or holds NaN, or its target is none of the classes.
    """
    plugin = f"dataset={registry.name_of(type(dataset))}"
    if not isinstance(splits, Splits) or not isinstance(splits.spec, DataSpec):
        found = type(splits if not isinstance(splits, Splits) else splits.spec).__name__
        wanted = "Splits" if not isinstance(splits, Splits) else "Splits with a DataSpec"
        where = registry.source(type(dataset))
        raise DataError(f"{plugin} ({where}): expected {wanted} of load(), found {found}.")
    told = f"{plugin}, split "
    train, val, test = (
        _checked(f"{told}{name}", items, splits.spec) for name, items in splits.parts.items()
    )
    return replace(splits, train=train, val=val, test=test)


def _checked(told: str, items: Items[Any], spec: DataSpec) -> Items[Any]:
    if not (hasattr(items, "__len__") and hasattr(items, "__getitem__")):
        found = type(items).__name__
        raise DataError(f"{told}: expected items with a number and places, found {found}.")
    if not len(items):
        raise DataError(f"{told}: expected items, found none.")
    if isinstance(items, TensorDataset):
        _check_tensors(told, items.tensors, spec)
        return items
    lazy = Checked(items, told, spec)
    lazy[0]  # a mistake that is in every item is told before the first step
    return lazy


class Checked(Items[Any]):
    """Items that are read one by one, each of which is checked; `told` names plugin and split."""

    def __init__(self, items: Items[Any], told: str, spec: DataSpec) -> None:
        self._items, self._told, self._spec = items, told, spec
        # Where it is cheap to know: as torchvision's data sets have them.
        self.targets = getattr(items, "targets", None)

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        try:
            item = self._items[place]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(f"expected inputs and a target, found {_outline(item)}")
            inputs, target = torch.as_tensor(item[0]), torch.as_tensor(item[1])
        except Exception as error:  # whatever a plugin raises
            if isinstance(error, DataError) and not str(error).startswith("expected"):
                raise
            reason = (
                str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
            )
            raise DataError(f"{self._told}, item {place}: {reason}.") from error
        _check_tensors(self._told, (inputs[None], target[None]), self._spec, first=place)
        return inputs, target


def _check_tensors(told: str, tensors: Any, spec: DataSpec, first: int = 0) -> None:
    """Raise DataError naming the first item that is not as the spec says."""
    if len(tensors) != 2:
        raise DataError(f"{told}: expected tensors of inputs and targets, found {len(tensors)}.")
    inputs, targets = tensors
    shape, of_target = tuple(inputs.shape[1:]), tuple(targets.shape[1:])
    expected = (len(spec.targets),) if spec.targets else ()
    if shape != tuple(spec.input_shape):
        raise DataError(
            f"{told}, item {first}: expected inputs of shape {list(spec.input_shape)}, as its spec "
            f"says, found {list(shape)}."
        )
    if of_target != expected:
        wanted = f"a target of shape {list(expected)}" if expected else "one number as target"
        raise DataError(f"{told}, item {first}: expected {wanted}, found {list(of_target)}.")

    if inputs.is_floating_point():
        wrong = ~inputs.flatten(1).isfinite().all(1)
        _refuse(told, first, wrong, "inputs that are finite", inputs)
    check_targets(told, targets, spec, first)


def check_targets(told: str, targets: Tensor, spec: DataSpec, first: int = 0) -> None:
    """Raise DataError naming the first target that is not finite, or none of the classes."""
    if spec.task is Task.regression:
        wrong = ~targets.flatten(1).isfinite().all(1) if targets.dim() > 1 else ~targets.isfinite()
        _refuse(told, first, wrong, "a finite target", targets)
        return
    if targets.is_floating_point() or targets.dtype == torch.bool:
        kind = str(targets.dtype).removeprefix("torch.")
        raise DataError(f"{told}: expected classes as whole numbers, found {kind}.")
    count, labels = len(spec.classes), targets.long()
    wrong = (labels < 0) | (labels >= count)
    _refuse(told, first, wrong, f"a class from 0 to {count - 1}", labels)


def _refuse(told: str, first: int, wrong: Tensor, wanted: str, values: Tensor) -> None:
    """Raise DataError where an item is wrong, naming its place and what of it is."""
    if wrong.any():
        place = int(wrong.nonzero()[0, 0])
        found = values[place].flatten()
        strange = found[~found.isfinite()] if found.is_floating_point() else found
        shown = f"{strange[0].item()}"
        raise DataError(f"{told}, item {first + place}: expected {wanted}, found {shown}.")


def _outline(value: object) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else f"a {kind}"
