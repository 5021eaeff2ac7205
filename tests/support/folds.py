"""A data set in folds."""

import torch
from torch.utils.data import TensorDataset

from experiments import Dataset, DataSpec, Splits, Task, number, register


def folded() -> None:
    """Register it; the test that does so forgets it by `own_registry`."""

    @register("folded")
    class Folded(Dataset):
        """Two classes, of which each fold has the same share."""

        folds: int = number(3, at_least=2)
        fold: int = number(0, at_least=0, repeats=True)

        def load(self) -> Splits:
            targets = torch.arange(60) % 2
            inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
            inputs += targets[:, None]
            held_out = torch.arange(60) // 2 % self.folds == self.fold
            train, val = (
                TensorDataset(inputs[part], targets[part]) for part in (~held_out, held_out)
            )
            spec = DataSpec(input_shape=(4,), task=Task.classification, classes=("a", "b"))
            return Splits(spec=spec, train=train, val=val, test=val, source="made")
