import math

from torch import Tensor

from experiments import Schedule, number, register


@register("cosine")
class Cosine(Schedule):
    """Half a cosine from 1 to `final` (Loshchilov & Hutter, 2017, without restarts)."""

    final: float = number(0.0, at_least=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        progress = (time / total).clamp(max=1)
        return self.final + (1 - self.final) * (1 + (math.pi * progress).cos()) / 2
