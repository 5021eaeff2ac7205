"""Inputs and targets, read from arrays of a file and checked."""

from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor
from torch.utils import data

from experiments import DataError
from plugins.dataset._array import _layout
from plugins.dataset._array._archive import Archive

_AT_ONCE = 2**10  # items that are looked at together
_SHARE = 0.5  # of the free memory that a copy of them may take


class Items(NamedTuple):
    """Inputs [N, ...], and targets [N, T] as numbers, or as texts."""

    inputs: Tensor
    targets: Any

    def some(self, index: Tensor) -> data.Dataset[tuple[Tensor, ...]]:
        """Return some of the items, or all as they are, mapped from their file where they were.

        What memory has no room for is left where it is, and read item by item.
        """
        if len(index) == len(self.inputs):
            return data.TensorDataset(*self)
        if self.inputs.nbytes <= _SHARE * psutil.virtual_memory().available:
            return data.TensorDataset(self.inputs[index], self.targets[index])
        return data.Subset(data.TensorDataset(*self), index.tolist())


def read(archive: Archive, pairs: Mapping[str, tuple[str, str]]) -> dict[str, Items]:
    """Return the items of each split from the arrays of inputs and targets that are its own.

    Raises DataError where arrays do not fit each other, or numbers are not finite.
    """
    found = {split: _read(archive, *pair) for split, pair in pairs.items()}
    for split, pair in pairs.items():
        for name, array, first in zip(pair, found[split], found["train"], strict=True):
            if type(array) is not type(first) or array.shape[1:] != first.shape[1:]:
                raise _error(archive, name, f"items as in train, {_outline(first)}", array)
    return found


def laid_out(
    found: Mapping[str, Items], channels: _layout.Channels, targets: Tensor
) -> dict[str, Items]:
    """Return the items as they are stored, with the `targets` of all splits one after the other."""
    inputs = {split: _layout.laid_out(items.inputs, channels) for split, items in found.items()}
    common = reduce(torch.promote_types, (part.dtype for part in inputs.values()))
    dtype = _layout.dtype(inputs["train"].to(common), channels)
    of_splits = targets.split([len(part) for part in inputs.values()])
    return {
        split: Items(part.to(dtype), of_split)
        for (split, part), of_split in zip(inputs.items(), of_splits, strict=True)
    }


def joined(found: Mapping[str, Items]) -> Any:
    """Return the targets of all splits in one array."""
    import numpy as np

    targets = [items.targets for items in found.values()]
    return torch.cat(targets) if isinstance(targets[0], Tensor) else np.concatenate(targets)


def _read(archive: Archive, inputs: str, targets: str) -> Items:
    values, labels = archive.read(inputs), archive.read(targets)
    if not isinstance(values, Tensor) or not values.dim() or not values.numel():
        raise _error(archive, inputs, "numbers of items, [N, ...]", values)
    texts = not isinstance(labels, Tensor)
    if labels.ndim not in (1, 2) or len(labels) != len(values) or not labels.shape[-1]:
        wanted = f"targets [{len(values)}] or [{len(values)}, T], as {inputs} has items"
        raise _error(archive, targets, wanted, labels)
    labels = labels.reshape(len(labels), -1)
    if texts and labels.shape[1] > 1:
        raise _error(archive, targets, "one text for each item", labels)
    if not texts:
        _expect_finite(archive, targets, labels)
    values = values.unsqueeze(1) if values.dim() == 1 else values
    _expect_finite(archive, inputs, values)
    return Items(values, labels)


def _expect_finite(archive: Archive, name: str, values: Tensor) -> None:
    for start in range(0, len(values) if values.is_floating_point() else 0, _AT_ONCE):
        wrong = ~values[start : start + _AT_ONCE].isfinite().flatten(1).all(1)
        if wrong.any():
            place = start + int(wrong.nonzero()[0, 0])
            raise DataError(f"{archive.path}: array {name}, item {place}: expected finite numbers.")


def _error(archive: Archive, name: str, expected: str, found: Any) -> DataError:
    return DataError(f"{archive.path}: array {name}: expected {expected}, found {_outline(found)}.")


def _outline(array: Any) -> str:
    return f"{'numbers' if isinstance(array, Tensor) else 'texts'} {[*array.shape]}"
