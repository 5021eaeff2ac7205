import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("suboptimality")
class Suboptimality(Metric):
    """How far a split's mean loss is above the lowest that any parameters have: f(θ) − f(θ*)."""

    tasks = frozenset({Task.objective})
    default = True
    higher_is_better = False

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        excess = outputs.reshape(targets.shape) - targets
        return torch.stack([excess.sum(), torch.ones_like(targets).sum()])

    def value(self, total: Tensor) -> Tensor:
        return total[0] / total[1]
