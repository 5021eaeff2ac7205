import torch
from torch import Tensor

from experiments import Optimizer, State, number, register


@register("adam")
class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba, 2015, algorithm 1).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; Δ = lr m̂ / (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ)
    and v̂ = v / (1 − β₂ᵗ). ε is added outside the root, after the bias correction.
    """

    lr: float = number(1e-3, at_least=0)
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.999, at_least=0, below=1)
    eps: float = number(1e-8, at_least=0)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = self.beta1 * state["m"] + (1 - self.beta1) * grad
        v = self.beta2 * state["v"] + (1 - self.beta2) * grad.square()
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        return self.lr * m_hat / (v_hat.sqrt() + self.eps), {"m": m, "v": v}
