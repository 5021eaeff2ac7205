import math

import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("r2")
class R2(Metric):
    """The share of the targets' variance that the predictions explain; of several their mean.

    1 − Σ(y − ŷ)² / Σ(y − ȳ)², as in scikit-learn: where all targets are the same, it is 1 if every
    prediction is right, and else 0; of one item, and of predictions that are infinite, it is NaN.
    """

    tasks = frozenset({Task.regression})
    default = True
    least = 2

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        # In float64, which not every GPU has.
        truth = targets.cpu().double()
        preds = outputs.cpu().double().reshape(truth.shape)
        # From the first target on, so that the mean of equal targets is exactly that target.
        mean = truth[0] + (truth - truth[0]).mean(0)
        residual, spread = (truth - preds).square().sum(0), (truth - mean).square().sum(0)
        return torch.stack([residual, spread, mean, torch.ones_like(truth).sum(0)])

    def join(self, total: Tensor, batch: Tensor) -> Tensor:
        # Chan et al., 1979: sums of squares would lose the digits of targets far from 0.
        (residual, spread, mean, count), more = total, batch
        apart, share = more[2] - mean, more[3] / (count + more[3])
        spread = spread + more[1] + apart.square() * count * share
        return torch.stack([residual + more[0], spread, mean + apart * share, count + more[3]])

    def value(self, total: Tensor) -> Tensor:
        residual, spread, _, count = total
        unexplained = residual / torch.where(spread > 0, spread, residual)
        explained = torch.where(residual == 0, 1.0, 1 - unexplained)
        known = (count > 1) & residual.isfinite()
        return torch.where(known, explained, math.nan).mean()
