from typing import TYPE_CHECKING

import torch
from torch import Tensor

from experiments import Augment, DataSpec, number, register
from plugins.augment import _images

if TYPE_CHECKING:
    from experiments import Draws


@register("cutout")
class Cutout(Augment):
    """Hide a square of `size` pixels a side in each image (DeVries & Taylor, 2017).

    Its centre is any pixel, so that the border may clip it, as in the paper. What it hides becomes
    0, the mean of normalised data, in all channels.
    """

    size: int = number(8, at_least=1)

    def check(self, spec: DataSpec) -> None:
        _images.check(spec)

    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: "Draws", spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        height, width = inputs.shape[-2:]
        rows, columns = self._hidden(height, draws), self._hidden(width, draws)
        hidden = rows[:, None, :, None] & columns[:, None, None, :]
        return inputs.masked_fill(hidden, 0), targets

    def _hidden(self, length: int, draws: "Draws") -> Tensor:
        """Say for each item which places along a side the square covers, [B, length]."""
        first = draws.integers(length, 1) - self.size // 2
        places = torch.arange(length, device=first.device)
        return (places >= first) & (places < first + self.size)
