import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _moments, _spaces


@register("adamw")
class AdamW(Optimizer):
    """Adam with decoupled weight decay: Δ = lr (m̂ / (√v̂ + ε) + λ θ) (Loshchilov & Hutter, 2019).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; m̂ = m / (1 − β₁ᵗ); v̂ = v / (1 − β₂ᵗ).

    The decay is multiplied by lr, as in torch and optax (the paper multiplies it by the schedule
    alone), and reaches every parameter; to spare some, or for another form, take `adam` with the
    transform `weight_decay`. λ is torch's 0.01 by default (1e-4 in optax).
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(1e-2, at_least=0, space=_spaces.WEIGHT_DECAY)
    bias_correction: bool = True
    eps_inside_sqrt: bool = False  # as in adam

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        step = _moments.step(self, m, v, t).add_(self.lr * self.weight_decay * param)
        return step, {"m": m, "v": v}
