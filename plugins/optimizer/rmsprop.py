import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register


@register("rmsprop")
class RMSprop(Optimizer):
    """Gradients over their running root mean square (Tieleman & Hinton, 2012, lecture 6e).

    v ← ρ v + (1 − ρ) g²; b ← μ b + g / (√v + ε); Δ = lr b. ε stands outside the root as in torch
    (optax puts it inside), and ρ is torch's 0.99 (0.9 in the lecture).
    """

    lr: float = number(1e-2, at_least=0)
    decay: float = number(0.99, at_least=0, below=1)
    eps: float = number(1e-8, at_least=0)
    momentum: float = number(0.0, at_least=0, below=1)

    def init(self, param: Tensor) -> State:
        return {"v": torch.zeros_like(param), "b": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        v = ema(state["v"], grad.square(), self.decay)
        b = self.momentum * state["b"] + grad / (v.sqrt() + self.eps)
        return self.lr * b, {"v": v, "b": b}
