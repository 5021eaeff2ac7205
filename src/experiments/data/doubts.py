"""What makes the numbers of a data set doubtful: absent classes, items in train and elsewhere."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as Items
from torch.utils.data import TensorDataset

from experiments.data.checks import check_targets
from experiments.errors import DataError
from experiments.plugin.spec import DataSpec, Splits, Task
from experiments.text import shortened

_AT_ONCE = 2**14  # items whose hashes are computed together


def judged(splits: Splits) -> Splits:
    """Return splits with the numbers of items of each class, and with what is doubtful of them."""
    spec = splits.spec
    targets = {name: targets_of(items, spec) for name, items in splits.parts.items()}
    train = targets["train"]
    if train is not None and spec.task is Task.classification:
        counts = train.bincount(minlength=len(spec.classes)).tolist()
        spec = replace(spec, counts=tuple(counts))
    told = (*splits.warnings, *_absences(spec, targets), *_leaks(splits))
    return replace(splits, spec=spec, warnings=told)


def targets_of(items: Items[Any], spec: DataSpec) -> Tensor | None:
    """Return the targets [N] of a split, or None where each item would have to be read.

    Those of classes are int64.
    """
    if isinstance(items, TensorDataset):
        targets = items.tensors[1]
        return targets.long() if spec.task is Task.classification else targets
    try:  # as torchvision's data sets have them, which may be others than their items'
        targets = torch.as_tensor(getattr(items, "targets", None))
        check_targets("targets", targets, spec)
    except (DataError, RuntimeError, TypeError, ValueError):
        return None
    whole = targets.dim() == 1 and len(targets) == len(items)  # type: ignore[arg-type]
    return targets.long() if whole and spec.task is Task.classification else None


def _absences(spec: DataSpec, targets: dict[str, Tensor | None]) -> Iterator[str]:
    if spec.task is not Task.classification:
        return
    for split, labels in targets.items():
        if labels is None:
            continue
        absent = labels.bincount(minlength=len(spec.classes)) == 0
        if names := [name for name, none in zip(spec.classes, absent, strict=True) if none]:
            listed = shortened(", ".join(names), 100)
            yield f"{split} has no item of {len(names)} of {len(spec.classes)} classes: {listed}."


def _leaks(splits: Splits) -> Iterator[str]:
    """Count the items of val and test whose inputs train has as well.

    An objective is the same function on each: there is nothing to know by heart.
    """
    if splits.spec.task is Task.objective or not isinstance(splits.train, TensorDataset):
        return
    # numpy sorts several times faster than torch, which isin would do for each split again.
    known = torch.from_numpy(np.sort(_hashes(splits.train.tensors[0]).numpy()))
    for name, items in (("val", splits.val), ("test", splits.test)):
        if isinstance(items, TensorDataset):
            own = _hashes(items.tensors[0])
            places = torch.searchsorted(known, own).clamp(max=len(known) - 1)
            count = int((known[places] == own).sum())
            if count:
                yield (
                    f"{count} of {len(items)} items of {name} are in train, too: a model that has "
                    "learnt them by heart is right about them."
                )


def _hashes(inputs: Tensor) -> Tensor:
    """Return 64 bits for the bytes of each item [N]; other bytes give others, but for chance."""
    flat = inputs.reshape(len(inputs), -1).contiguous().view(torch.uint8)
    words = -(-flat.shape[1] // 8)
    draw = torch.Generator().manual_seed(0)
    first, second = torch.randint(-(2**63), 2**63 - 1, (2, words), generator=draw) | 1
    parts = []
    for some in flat.split(_AT_ONCE):
        mixed = (
            torch.nn.functional.pad(some, (0, 8 * words - flat.shape[1])).view(torch.int64) * first
        )
        parts.append(((mixed ^ (mixed >> 29)) * second).sum(1))
    return torch.cat(parts)
