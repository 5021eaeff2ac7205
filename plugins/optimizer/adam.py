import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register


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
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        # The bias corrections move to the numbers, and temporaries are changed in place: each pass
        # over the vector that this saves is a tenth of the step of a small network.
        root = (1 - self.beta2**t).sqrt()
        lr = self.lr * root / (1 - self.beta1**t)
        denominator = v.sqrt().add_((root * self.eps).to(v.dtype))
        return m.div(denominator).mul_(lr.to(m.dtype)), {"m": m, "v": v}
