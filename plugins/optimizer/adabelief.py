import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("adabelief")
class AdaBelief(Optimizer):
    """Adam whose v is of what m has not foreseen (Zhuang et al., 2020, algorithm 2).

    m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) (g − m)² + ε; Δ = lr m̂ / (√ŝ + ε), where
    m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ).

    m is that of the step itself. ε is added twice, and the one within s adds up to ε / (1 − β₂) in
    time: where gradients hardly change it bounds the step. optax and pytorch_optimizer 4.1
    are the same. Decay: `transform=[weight_decay]`, decoupled.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-16, above=0, space=log_range(1e-16, 1e-8, "Zhuang et al., 2020"))

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "s": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        s = ema(state["s"], (grad - m).square(), self.beta2) + self.eps
        root = (s / (1 - self.beta2**t)).sqrt() + self.eps
        return self.lr / (1 - self.beta1**t) * m / root, {"m": m, "s": s}
