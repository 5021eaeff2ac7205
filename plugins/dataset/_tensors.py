"""Splits of tensors that fit in memory, normalised by their train part."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import DataSpec, Splits, Task
from plugins.dataset import _moments, _split

# What float32 may lose of a column, in shares of its standard deviation.
_LOST = 1e-4


def splits(inputs: Tensor, targets: Tensor, parts: _split.Parts, **more: Any) -> Splits:
    """Return the splits of inputs [N, ...] and targets, whose items are `parts`, by `parted`."""
    return parted([inputs[part] for part in parts], targets, parts, **more)


def parted(
    inputs: Sequence[Tensor],
    targets: Tensor,
    parts: _split.Parts,
    *,
    classes: Sequence[str] = (),
    names: Sequence[str] = (),
    one_scale: bool = False,
    scale_target: bool = False,
    **told: Any,
) -> Splits:
    """Return the splits of targets [N] or [N, T] whose items are `parts`, and of those' inputs.

    Mean and standard deviation are those of each feature in the train split, or with `one_scale`
    those of all its numbers; with `scale_target` a regression's targets, whose `names` are several,
    have theirs. `told` are more fields of `Splits`.
    """
    train, val, test = (
        TensorDataset(own, targets[part]) for own, part in zip(inputs, parts, strict=True)
    )
    mean, std = _moments.of(train.tensors[0], None if one_scale else -1)
    scale = _moments.of_targets(train.tensors[1]) if scale_target else (0.0, 1.0)
    spec = DataSpec(
        input_shape=tuple(inputs[0].shape[1:]),
        task=Task.classification if classes else Task.regression,
        classes=tuple(classes),
        mean=mean,
        std=std,
        targets=tuple(names),
        target_mean=scale[0],
        target_std=scale[1],
    )
    return Splits(spec=spec, train=train, val=val, test=test, **told)


def dtype_for(*columns: Any) -> torch.dtype:
    """Return float32, or float64 where that would lose what matters of an array [N] of float64."""
    single = torch.finfo(torch.float32)
    for values in columns:
        largest, std = max(values.max(), -values.min()), values.std()
        lost = largest * single.eps > _LOST * std or std < single.tiny / single.eps
        if std > 0 and (lost or largest > single.max):
            return torch.float64
    return torch.float32
