import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.utils.data import TensorDataset

from experiments import Dataset, DataSpec, Splits, Task, number, register
from plugins.dataset._covariance import mixing, normal

STEPS = 100  # of Newton's method


@register("logistic")
class LogisticData(Dataset):
    """Items of two classes whose logistic regression has one optimum, known to 1e-12.

    An item is z = y x: x is normal, its covariance has eigenvalues from 1 down to 1 / `condition`,
    and the label y, −1 or 1, says on which side of a plane it is, but for the share `noise` of
    them. The val and test splits are the train split: an objective is a function to minimise.
    """

    items: int = number(1000, at_least=1)
    features: int = number(20, at_least=1)
    condition: float = number(10.0, at_least=1, at_most=1e8)
    noise: float = number(0.1, at_least=0, at_most=0.5)
    l2: float = number(0.01, above=0)  # the penalty is ½ l2 |w|², the model's too
    seed: int = number(0, at_least=0, below=2**63)

    def load(self) -> Splits:
        draw = torch.Generator().manual_seed(self.seed)
        inputs = normal(draw, self.items, self.features)
        inputs = inputs @ mixing(draw, self.features, self.condition)
        labels = (inputs @ normal(draw, self.features)).sign()
        wrong = torch.rand(self.items, generator=draw, dtype=torch.double) < self.noise
        signed = inputs * torch.where(wrong, -labels, labels).unsqueeze(1)
        signed = signed.float().double()  # so that a run in float32 has the same objective
        optimum = _lowest(signed, self.l2)
        split = TensorDataset(signed, torch.full((self.items,), optimum, dtype=torch.double))
        return Splits(
            spec=DataSpec(input_shape=(self.features,), task=Task.objective),
            train=split,
            val=split,
            test=split,
            source=f"logistic, seed {self.seed}",
            optimum=optimum,
            reason="the model's outputs are the losses themselves",
        )


def _lowest(signed: Tensor, l2: float) -> float:
    """Return the lowest loss on z = y x [N, D], by Newton's method with halved steps."""

    def loss(weights: Tensor) -> Tensor:
        return l2 / 2 * weights @ weights - logsigmoid(signed @ weights).mean()

    count, features = signed.shape
    weights = signed.new_zeros(features)
    for _ in range(STEPS):
        wrong = torch.sigmoid(-signed @ weights)
        grad = l2 * weights - signed.T @ wrong / count
        spread = signed.T @ ((wrong * (1 - wrong)).unsqueeze(1) * signed) / count
        step = torch.linalg.solve(spread + l2 * torch.eye(features), grad)
        decrement = float(step @ grad)
        if decrement < 1e-14:  # twice the distance to the optimum
            break
        size = 1.0
        while loss(weights - size * step) > loss(weights) - size * decrement / 4:
            size /= 2
        weights = weights - size * step
    return float(loss(weights))
