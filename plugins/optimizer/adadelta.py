import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("adadelta")
class Adadelta(Optimizer):
    """Gradients times the size of past steps over that of past gradients (Zeiler, 2012).

    v ← ρ v + (1 − ρ) g²; d = √(u + ε) / √(v + ε) g; u ← ρ u + (1 − ρ) d²; Δ = lr d.

    The paper has no lr, which is 1 by default as in torch, and ρ = 0.95 in its experiments. u
    does not know of lr, so that ε decides how large the first steps are, and how soon they grow.
    """

    lr: float = number(1.0, at_least=0, space=log_range(1e-2, 10, "around the paper's 1"))
    decay: float = number(0.9, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-6, above=0, space=log_range(1e-8, 1e-2, "Zeiler, 2012"))

    def init(self, param: Tensor) -> State:
        return {"v": torch.zeros_like(param), "u": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        v = ema(state["v"], grad.square(), self.decay)
        d = (state["u"] + self.eps).sqrt() / (v + self.eps).sqrt() * grad
        return self.lr * d, {"v": v, "u": ema(state["u"], d.square(), self.decay)}
