"""Splits of tensors that fit in memory, normalised by their train part."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import DataSpec, Splits, Task
from plugins.dataset import _split

_EPS = torch.finfo(torch.float32).eps


def splits(
    inputs: Tensor,
    targets: Tensor,
    *,
    classes: Sequence[str] = (),
    val: float,
    test: float,
    seed: int,
    source: str,
    one_scale: bool = False,
) -> Splits:
    """Return inputs [N, ...] and targets [N] in three parts; without `classes` it is a regression.

    Mean and standard deviation are those of each feature in the train split, or with `one_scale`
    those of all its numbers. Raises DataError where there are too few items.
    """
    strata = targets if classes else torch.zeros_like(targets)
    parts = _split.divide(strata, val=val, test=test, seed=seed)
    train, val_items, test_items = (TensorDataset(inputs[i], targets[i]) for i in parts)
    values = train.tensors[0].double()
    dims = tuple(range(values.dim() if one_scale else 1))
    std = values.std(dims, correction=0)
    spec = DataSpec(
        input_shape=tuple(inputs.shape[1:]),
        task=Task.classification if classes else Task.regression,
        classes=tuple(classes),
        mean=values.mean(dims).float(),
        # A feature that never changes, but for rounding, is not scaled up to noise or NaN.
        std=torch.where(std > _EPS * values.abs().amax(dims), std, 1.0).float(),
    )
    return Splits(spec=spec, train=train, val=val_items, test=test_items, source=source)
