import torch
from torch import Tensor

from experiments import Metric, Task, number, register


@register("top_k")
class TopK(Metric):
    """The share of items whose target is among the k largest logits."""

    tasks = frozenset({Task.classification})
    k: int = number(5, at_least=1)

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        top = outputs.topk(min(self.k, outputs.shape[-1])).indices
        hits = (top == targets[..., None]).any(-1).sum()
        return torch.stack([hits, torch.ones_like(targets).sum()])

    def value(self, total: Tensor) -> Tensor:
        return total[0] / total[1]
