import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register


@register("polyak")
class Polyak(Optimizer):
    """Gradient descent by Polyak's step, up to a largest rate (Loizou et al., 2021, SPS_max).

    Δ = min((f − f*)₊ / (c ‖g‖² + ε), lr) g, where f is the loss of the batch.

    f* is the least loss that a batch can have: 0 where a model can fit every item. c is that of the
    authors' code, 0.5, whose largest rate grows slowly from step to step; optax has c = 1, no ε,
    and without `variant="sps+"` climbs where f < f*. Decay: `transform=[weight_decay]`, decoupled,
    as f is the loss without it. It costs no more than gradient descent.
    """

    needs = ("loss",)

    lr: float = number(1.0, at_least=0, space=log_range(1e-2, 100, "around optax's 1"))
    c: float = number(0.5, above=0, space=log_range(0.1, 2, "around the authors' 0.5"))
    least: float = number(0.0)
    eps: float = number(1e-8, above=0)

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        gap = (self.batch.value - self.least).clamp(min=0)
        rate = (gap / (self.c * grad.square().sum() + self.eps)).minimum(torch.as_tensor(self.lr))
        return rate.to(grad.dtype) * grad, state
