import torch
from torch import Tensor

from experiments import Optimizer, State, complement_range, ema, log_range, number, register
from plugins.optimizer._sign import sign


@register("signum")
class Signum(Optimizer):
    """The sign of a running average of gradients (Bernstein et al., 2018, algorithm 2).

    m ← β m + (1 − β) g; Δ = lr sign(m), which moves every coordinate by lr at each step. With
    `beta=0` it is signSGD, the sign of the gradient itself.

    Only the sign of m counts: whether an average or a sum is kept makes no difference. Decay:
    `transform=[weight_decay]`; coupled decay reaches the sign alone.
    """

    lr: float = number(1e-3, at_least=0, space=log_range(1e-5, 1e-2))
    beta: float = number(0.9, at_least=0, below=1, space=complement_range(0.5, 0.99))

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta)
        return self.lr * sign(m), {"m": m}
