"""What a data set gives, checked before it is trained on: each fault by split and item."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as Items
from torch.utils.data import TensorDataset

from experiments.errors import DataError
from experiments.plugin import failure, registry
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
        if len(items.tensors) != 2:
            count = len(items.tensors)
            raise DataError(f"{told}: expected tensors of inputs and targets, found {count}.")
        inputs, targets = items.tensors
        _check_shapes(f"{told}, item 0", inputs[0], targets[0], spec)
        check_values(told, inputs, targets, spec)
        return items
    lazy = Checked(items, told, spec)
    inputs, target = lazy[0]  # a mistake that is in every item is told before the first step
    lazy.check(inputs[None], target[None], [0])
    return lazy


class Checked(Items[Any]):
    """Items that are read one by one; `told` names plugin and split.

    The shapes of each are checked when it is read, and values by `check` when a batch is together,
    which takes a tenth of the time.
    """

    def __init__(self, items: Items[Any], told: str, spec: DataSpec) -> None:
        self._items, self._told, self._spec = items, told, spec
        # Where it is cheap to know: as torchvision's data sets have them.
        self.targets = getattr(items, "targets", None)

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        told = f"{self._told}, item {place}"
        try:
            item = self._items[place]
        except DataError:
            raise
        except Exception as error:  # whatever a plugin raises
            raise DataError(f"{told}: {failure.told(error)}.") from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DataError(f"{told}: expected inputs and a target, found {_outline(item)}.")
        try:
            inputs, target = torch.as_tensor(item[0]), torch.as_tensor(item[1])
        except (RuntimeError, TypeError, ValueError) as error:
            kinds = " and ".join(_outline(part) for part in item)
            raise DataError(f"{told}: expected tensors or numbers, found {kinds}.") from error
        _check_shapes(told, inputs, target, self._spec)
        return inputs, target

    def check(self, inputs: Tensor, targets: Tensor, places: Tensor | Sequence[int]) -> None:
        """Raise DataError naming the first of the items at some places whose values are wrong."""
        check_values(self._told, inputs, targets, self._spec, places)


def _check_shapes(told: str, inputs: Tensor, target: Tensor, spec: DataSpec) -> None:
    """Raise DataError where one item is not of the shapes that the spec says."""
    expected = (len(spec.targets),) if spec.targets else ()
    if inputs.shape != tuple(spec.input_shape):
        raise DataError(
            f"{told}: expected inputs of shape {list(spec.input_shape)}, as its spec says, found "
            f"{list(inputs.shape)}."
        )
    if target.shape != expected:
        wanted = f"a target of shape {list(expected)}" if expected else "one number as target"
        raise DataError(f"{told}: expected {wanted}, found {list(target.shape)}.")


def check_values(
    told: str,
    inputs: Tensor,
    targets: Tensor,
    spec: DataSpec,
    places: Tensor | Sequence[int] | None = None,
) -> None:
    """Raise DataError naming the first item that is not finite, or whose target is no class.

    Shapes: inputs [N, *item], targets [N] or [N, T]; `places` [N] are those in the split.
    """
    # What is not finite makes the sum so, which takes a tenth of the time to see.
    if inputs.is_floating_point() and not inputs.sum().isfinite():
        _refuse(told, ~inputs.isfinite(), "inputs that are finite", inputs, places)
    check_targets(told, targets, spec, places)


def check_targets(
    told: str, targets: Tensor, spec: DataSpec, places: Tensor | Sequence[int] | None = None
) -> None:
    """Raise DataError naming the first target that is not finite, or none of the classes."""
    if spec.task is not Task.classification:
        _refuse(told, ~targets.isfinite(), "a finite target", targets, places)
        return
    if targets.is_floating_point() or targets.dtype == torch.bool:
        kind = str(targets.dtype).removeprefix("torch.")
        raise DataError(f"{told}: expected classes as whole numbers, found {kind}.")
    count, labels = len(spec.classes), targets.long()
    wrong = (labels < 0) | (labels >= count)
    _refuse(told, wrong, f"a class from 0 to {count - 1}", labels, places)


def _refuse(
    told: str, wrong: Tensor, wanted: str, values: Tensor, places: Tensor | Sequence[int] | None
) -> None:
    """Raise DataError where a value is wrong, naming its item and what it is."""
    if wrong.any():
        first = tuple(wrong.nonzero()[0].tolist())
        place = first[0] if places is None else int(places[first[0]])
        found = values[first].item()
        raise DataError(f"{told}, item {place}: expected {wanted}, found {found}.")


def _outline(value: object) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else f"a {kind}"
