import dataclasses

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Dataset, Splits, Task, number, register
from plugins.dataset import _optimum, _split, _task, _tensors
from plugins.dataset._covariance import mixing, normal


@register("synthetic")
class Synthetic(Dataset):
    """A regression or classification of random numbers, whose lowest training loss is known.

    Inputs are normal, and their covariance has eigenvalues from 1 down to 1 / `condition` in
    random directions; one scale for all keeps it so. Regression: targets are affine in the inputs,
    and `noise` is added. Classification: a class is a cluster, and `noise` its standard deviation,
    where centres are 1 apart on average.
    The optimum is that of an affine model (mean square, or cross entropy) on the train split; a
    deeper model can go below it. For a large classification it is not computed.
    """

    task: Task = Task.regression
    items: int = number(1000, at_least=3)
    features: int = number(20, at_least=1)
    classes: int = number(3, at_least=2)  # of a classification
    noise: float = number(0.5, at_least=0)
    condition: float = number(10.0, at_least=1, at_most=1e8)
    seed: int = number(0, at_least=0, below=2**63)
    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction)

    def load(self) -> Splits:
        _task.check(self.task)
        draw = torch.Generator().manual_seed(self.seed)
        regression = self.task is Task.regression
        inputs, targets = self._regression(draw) if regression else self._clusters(draw)
        parts = _split.divide(
            torch.zeros(self.items) if regression else targets,
            val=self.val_fraction,
            test=self.test_fraction,
            seed=self.seed,
        )
        splits = _tensors.splits(
            inputs.float(),
            targets.float() if regression else targets,
            parts,
            classes=[] if regression else [str(label) for label in range(self.classes)],
            source=f"synthetic, seed {self.seed}",
            one_scale=True,
        )
        assert isinstance(splits.train, TensorDataset)
        inputs, targets = splits.train.tensors
        optimum = (
            _optimum.least_squares(inputs, targets)
            if regression
            else _optimum.cross_entropies(inputs, targets, self.classes)
        )
        return dataclasses.replace(splits, optimum=optimum)

    def _regression(self, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        inputs = normal(draw, self.items, self.features) @ self._mixing(draw)
        weights = normal(draw, self.features) / self.features**0.5
        noise = self.noise * normal(draw, self.items)
        return inputs, inputs @ weights + normal(draw, 1) + noise

    def _clusters(self, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        targets = torch.arange(self.items) % self.classes
        # The squared distance of two normal points is 2 a feature on average.
        centres = normal(draw, self.classes, self.features) / (2 * self.features) ** 0.5
        inputs = centres[targets] + self.noise * normal(draw, self.items, self.features)
        return inputs @ self._mixing(draw), targets

    def _mixing(self, draw: torch.Generator) -> Tensor:
        return mixing(draw, self.features, self.condition)
