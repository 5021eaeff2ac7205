import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from experiments import Augment, DataSpec, Task, number, register

if TYPE_CHECKING:
    from experiments import Draws


@register("mixup")
class Mixup(Augment):
    """Mix each item and its target with its neighbour in the batch: x ← λ x + (1 − λ) x'.

    λ is drawn for each item from Beta(α, α) (Zhang et al., 2018, draw one for the batch). Batches
    are shuffled, so that the neighbour is any item. Classes become shares [B, classes], which the
    loss must take; numbers, and shares from before, are mixed as they are.
    """

    gives_shares = True
    alpha: float = number(0.2, above=0)

    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: "Draws", spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        if spec.task is Task.classification and not targets.is_floating_point():
            classes = torch.arange(len(spec.classes), device=targets.device)
            targets = (targets[:, None] == classes).to(inputs.dtype)
        share = self._share(draws, inputs.dtype)
        return _mixed(inputs, share), _mixed(targets, share.to(targets.dtype))

    def _share(self, draws: "Draws", dtype: torch.dtype) -> Tensor:
        """Draw from Beta(α, α), [B], in closed form (Devroye, 1996; Bailey, 1994).

        With r² = u^(-1/α) − 1 and t = r cos(2πv) it is 1/2 + t / (2 √(1 + t²)): t is Student's,
        but for a factor. The cosine gives the sign. All is multiplied by q = u^(1/α), so that
        nothing overflows for small α or u = 0.
        """
        log_q = draws.uniform().to(dtype).log() / self.alpha
        angle = 2 * math.pi * draws.uniform().to(dtype)
        cos, sin = angle.cos(), angle.sin()
        # 1 − q by expm1, which is exact for large α too; 0 < cos² + q sin² as no float is π/2.
        t = cos * (-log_q.expm1()).sqrt() / (cos.square() + log_q.exp() * sin.square()).sqrt()
        return ((1 + t.clamp(-1, 1)) / 2).to(dtype)


def _mixed(items: Tensor, share: Tensor) -> Tensor:
    # lerp is λ x + (1 − λ) x' in one pass, exact for λ = 0 and 1 and for equal neighbours.
    return torch.lerp(items.roll(1, 0), items, share.view(-1, *[1] * (items.ndim - 1)))
