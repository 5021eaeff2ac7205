import torch
from torch import Tensor

from experiments import Schedule, register


@register("constant")
class Constant(Schedule):
    """Always 1."""

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        return torch.ones_like(time)
