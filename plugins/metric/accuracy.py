import torch
from torch import Tensor

from experiments import Metric, Task, register


@register("accuracy")
class Accuracy(Metric):
    """The share of items whose largest logit is the target's."""

    tasks = frozenset({Task.classification})
    default = True

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        hits = (outputs.argmax(-1) == targets).sum()
        return torch.stack([hits, torch.ones_like(targets).sum()])

    def value(self, total: Tensor) -> Tensor:
        return total[0] / total[1]
