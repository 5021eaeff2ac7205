import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("r2")
class R2(Metric):
    """The share of the targets' variance that the predictions explain.

    1 − Σ(y − ŷ)² / Σ(y − ȳ)², as in torchmetrics.
    """

    tasks = frozenset({Task.regression})
    default = True

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        # In float64, which not every GPU has: the variance is a difference of large numbers.
        preds, truth = outputs.squeeze(-1).cpu().double(), targets.cpu().double()
        residual, count = (truth - preds).square().sum(), torch.ones_like(truth).sum()
        return torch.stack([residual, truth.sum(), truth.square().sum(), count])

    def value(self, total: Tensor) -> Tensor:
        residual, first, second, count = total
        explained: Tensor = 1 - residual / (second - first.square() / count)
        return explained
