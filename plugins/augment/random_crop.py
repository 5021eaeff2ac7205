from enum import Enum
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from experiments import Augment, DataSpec, number, register
from plugins.augment import _images

if TYPE_CHECKING:
    from experiments import Draws


class Mode(Enum):
    """What lies beyond an image's border."""

    zero = "zero"
    reflect = "reflect"


@register("random_crop")
class RandomCrop(Augment):
    """Shift each image by up to `padding` pixels: pad it on every side, cut its size at random.

    Beyond the border lies 0, the mean of normalised data, as is usual for CIFAR (He et al., 2016),
    or the image mirrored at its outermost pixels. Pixels are copied, never interpolated.
    """

    padding: int = number(4, at_least=1)
    mode: Mode = Mode.zero

    def check(self, spec: DataSpec) -> None:
        _images.check(spec)
        if self.mode is Mode.reflect and self.padding >= min(spec.input_shape[1:]):
            raise ValueError(
                f"padding={self.padding} by reflection is too wide for {spec.input_shape}: it must"
                " be less than an image's height and width"
            )

    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: "Draws", spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        height, width = inputs.shape[-2:]
        mode = "reflect" if self.mode is Mode.reflect else "constant"
        padded = functional.pad(inputs, [self.padding] * 4, mode=mode)
        # A view of every window [B, C, top, left, H, W]: an index picks one for each item, and
        # its pixels are copied in rows, which a gather with an index for each pixel would not do.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        top, left = draws.integers(2 * self.padding + 1, 2).unbind(1)
        return windows[torch.arange(len(inputs), device=inputs.device), :, top, left], targets
