from typing import TYPE_CHECKING

import torch
from torch import Tensor

from experiments import Augment, DataSpec, number, register
from plugins.augment import _images

if TYPE_CHECKING:
    from experiments import Draws


@register("horizontal_flip")
class HorizontalFlip(Augment):
    """Mirror each image, left to right, with probability `p`.

    It suits pictures whose class a mirror keeps (Krizhevsky et al., 2012): not digits or letters.
    """

    p: float = number(0.5, at_least=0, at_most=1)

    def check(self, spec: DataSpec) -> None:
        _images.check(spec)

    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: "Draws", spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        mirrored = draws.uniform(1, 1, 1) < self.p
        return torch.where(mirrored, inputs.flip(-1), inputs), targets
