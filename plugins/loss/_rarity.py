"""Weigh classes by their rarity."""

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
        self.values = [sum(spec.counts) / (present * max(n, 1)) for n in spec.counts]
        self._tensor: Tensor | None = None

    def like(self, outputs: Tensor) -> Tensor:
        """Return the weights [classes], made once for a device."""
        if self._tensor is None or self._tensor.device != outputs.device:
            self._tensor = outputs.new_tensor(self.values)
        return self._tensor
