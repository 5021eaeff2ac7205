import math

import torch
from torch import Tensor

from experiments import Schedule, number, register


@register("one_cycle")
class OneCycle(Schedule):
    """Half a cosine up to 1, then half a cosine down (Smith & Topin, 2018).

    It starts at 1 / `div`, peaks after the share `rise` of the time, and ends at
    1 / (`div` `final_div`): the numbers of `torch.optim.lr_scheduler.OneCycleLR`.
    """

    rise: float = number(0.3, above=0, below=1)
    div: float = number(25.0, above=0)
    final_div: float = number(1e4, above=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        progress = (time / total).clamp(max=1)
        start, end = 1 / self.div, 1 / (self.div * self.final_div)
        up = _cosine(start, 1.0, progress / self.rise)
        down = _cosine(1.0, end, (progress - self.rise) / (1 - self.rise))
        return torch.where(progress < self.rise, up, down)


def _cosine(start: float, end: float, progress: Tensor) -> Tensor:
    return end + (start - end) * (1 + (math.pi * progress).cos()) / 2
