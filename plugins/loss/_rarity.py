"""Weigh classes by their rarity."""

import torch
from torch import Tensor

from experiments import ConfigError, DataSpec


class Weights:
    """A weight a class such that all together count the same, and an item 1 on average.

    A class's weight is N / (C n) for n of N items and C classes that occur in the train split, as
    scikit-learn's "balanced" (King & Zeng, 2001).
    """

    def __init__(self, spec: DataSpec) -> None:
        if not spec.counts:
            raise ConfigError(
                "loss.class_weights=balanced: the data set gives its classes only item by item."
            )
        present = sum(count > 0 for count in spec.counts)
        values = [sum(spec.counts) / (present * max(n, 1)) for n in spec.counts]
        self._values = torch.tensor(values, dtype=torch.float64)
        self._made: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, outputs: Tensor) -> Tensor:
        """Return the weights [classes] in the outputs' dtype, made once for each device."""
        key = outputs.device, outputs.dtype
        weights = self._made.get(key)
        if weights is None:
            weights = self._values.to(*key)
            if type(weights) is Tensor:  # while a program is traced they hold no numbers
                self._made[key] = weights
        return weights
