import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("r2")
class R2(Metric):
    """The share of the targets' variance that the predictions explain: 1 − Σ(y − ŷ)² / Σ(y − ȳ)²."""

    tasks = frozenset({Task.regression})
    default = True

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        residual = (targets - outputs.squeeze(-1)).square().sum()
        count = torch.ones_like(targets).sum()
        return torch.stack([residual, targets.sum(), targets.square().sum(), count])

    def value(self, total: Tensor) -> Tensor:
        residual, first, second, count = total
        return 1 - residual / (second - first.square() / count)
