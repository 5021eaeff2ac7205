import math

import torch
from torch import Tensor

from experiments import Schedule, number, register


@register("one_cycle")
class OneCycle(Schedule):
    """Half a cosine up to 1, then half a cosine down (Smith & Topin, 2018).

    It starts at 1 / `div`, peaks after the share `rise` of the steps, and the last one has
    1 / (`div` `final_div`): the numbers of `torch.optim.lr_scheduler.OneCycleLR`.
    """

    in_steps = True

    rise: float = number(0.3, above=0, below=1)
    div: float = number(25.0, above=0)
    final_div: float = number(1e4, above=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        # Both lie a step before the end of their share, as torch counts from 0.
        peak, last = self.rise * total - 1, total - 1
        start, end = 1 / self.div, 1 / (self.div * self.final_div)
        up = _cosine(start, 1.0, time / peak)
        down = _cosine(1.0, end, ((time - peak) / (last - peak)).clamp(max=1))
        return torch.where(time < peak, up, down)


def _cosine(start: float, end: float, progress: Tensor) -> Tensor:
    return end + (start - end) * (1 + (math.pi * progress).cos()) / 2
