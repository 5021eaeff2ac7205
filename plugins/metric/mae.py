import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("mae")
class MAE(Metric):
    """The mean absolute error, in the units of the targets."""

    tasks = frozenset({Task.regression})
    default = True
    higher_is_better = False

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        errors = (outputs.reshape(targets.shape) - targets).abs()
        return torch.stack([errors.sum(), torch.ones_like(targets).sum()])

    def value(self, total: Tensor) -> Tensor:
        return total[0] / total[1]
