import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("adamax")
class AdaMax(Optimizer):
    """Adam by the largest gradient and not the root of squares (Kingma & Ba, 2015, section 7).

    m ← β₁ m + (1 − β₁) g; u ← max(β₂ u, |g| + ε); Δ = lr / (1 − β₁ᵗ) m / u.

    ε is added to |g|, as in torch and optax; the paper has none: `eps=0`, with which a number whose
    gradient is always 0 becomes NaN. Numbers by default are the paper's.
    """

    lr: float = number(2e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "u": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        u = torch.maximum(self.beta2 * state["u"], grad.abs() + self.eps)
        return self.lr / (1 - self.beta1**t) * m / u, {"m": m, "u": u}
