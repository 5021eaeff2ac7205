import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("nadamw")
class NAdamW(Optimizer):
    """AdamW that looks ahead, as Nesterov's momentum does (Dozat, 2016; Loshchilov & Hutter, 2019).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; Δ = lr (u / (√v̂ + ε) + λ θ), where
    u = (1 − β₁) / (1 − β₁ᵗ) g + β₁ / (1 − β₁ᵗ⁺¹) m and v̂ = v / (1 − β₂ᵗ).

    As in optax; AlgoPerf's divides both parts of u by 1 − β₁ᵗ, which differs in the first steps
    alone, and torch's `NAdam(decoupled_weight_decay=True)`, whose momentum rises, is `nadam` with
    the transform `weight_decay`. λ is adamw's by default.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(1e-2, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        now, after = 1 - self.beta1**t, 1 - self.beta1 ** (t + 1)
        ahead = (1 - self.beta1) / now * grad + self.beta1 / after * m
        adam = ahead / ((v / (1 - self.beta2**t)).sqrt() + self.eps)
        return self.lr * (adam + self.weight_decay * param), {"m": m, "v": v}
