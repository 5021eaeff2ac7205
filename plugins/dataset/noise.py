import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Dataset, DataSpec, Splits, Task, number, register


@register("noise")
class Noise(Dataset):
    """Random vectors that a function of parameters adds to its gradient.

    The train items are normal and their mean is 0, so that the mean loss of an epoch is the
    function itself; without `std` there is one, of zeros. The val and test splits are the function
    without noise: one item of zeros.
    """

    dimension: int = number(2, at_least=1)
    std: float = number(0.0, at_least=0)
    items: int = number(1000, at_least=1)
    seed: int = number(0, at_least=0, below=2**63)
    lowest: float = 0.0  # loss that any parameters have, as far as it is known

    def __post_init__(self) -> None:
        if self.std and self.items < 2:
            raise ValueError("items=1 has no noise: its mean is 0; give 2 or more, or std=0")

    def load(self) -> Splits:
        draw = torch.Generator().manual_seed(self.seed)
        count = self.items if self.std else 1
        drawn = torch.randn(count, self.dimension, generator=draw, dtype=torch.double)
        train = self.std * (drawn - drawn.mean(0))
        exact = self._items(torch.zeros(1, self.dimension, dtype=torch.double))
        return Splits(
            spec=DataSpec(input_shape=(self.dimension,), task=Task.objective),
            train=self._items(train),
            val=exact,
            test=exact,
            source=f"noise, seed {self.seed}",
            optimum=self.lowest,
            reason="the model's outputs are the losses themselves",
        )

    def _items(self, inputs: Tensor) -> TensorDataset:
        return TensorDataset(inputs, torch.full((len(inputs),), self.lowest, dtype=torch.double))
