import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Dataset, DataSpec, Splits, Task, register
from plugins.model._deep_hessian import DIMENSION, hessian

STD = 0.6
WHOLE = 7 * 128  # test items of whole batches; the other 104 are left out


@register("quadratic_deep")
class QuadraticDeep(Dataset):
    """The 1000 points [100] to which DeepOBS's `quadratic_deep` has its mean distance.

    They are normal with a deviation of 0.6, and the same in every run. The val split is the test
    split: what is published is the test loss after the last step, here `final/val/loss`. It is of
    batches of 128 of which a smaller one is left out, as `batch_size=128 data.drop_last=true` does
    in training; `data.order=fixed` has the same batches in each epoch, as DeepOBS's had.
    """

    def load(self) -> Splits:
        curvature = hessian()
        train, test = _drawn(seed=42), _drawn(seed=43)[:WHOLE]
        lowest = _lowest(train, curvature)
        evaluated = _items(test, _lowest(test, curvature))
        return Splits(
            spec=DataSpec(input_shape=(DIMENSION,), task=Task.objective),
            train=_items(train, lowest),
            val=evaluated,
            test=evaluated,
            source="quadratic of DeepOBS, seeds 42 and 43",
            optimum=lowest,
            reason="the model's outputs are the losses themselves",
        )


def _drawn(seed: int) -> Tensor:
    drawn = np.random.RandomState(seed).normal(0, STD, (1000, DIMENSION))
    return torch.from_numpy(drawn.astype(np.float32))


def _items(points: Tensor, lowest: float) -> TensorDataset:
    return TensorDataset(points, torch.full((len(points),), lowest, dtype=torch.double))


def _lowest(points: Tensor, curvature: Tensor) -> float:
    """Return the mean loss at the points' mean, the lowest there is."""
    apart = points.double()
    apart = apart - apart.mean(0)
    return float(((apart @ curvature) * apart).sum(1).mean() / 2)
