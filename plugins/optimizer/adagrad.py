import torch
from torch import Tensor

from experiments import Optimizer, State, number, register


@register("adagrad")
class Adagrad(Optimizer):
    """Gradients over the root of all their squares: G ← G + g²; Δ = lr g / (√G + ε).

    Source: Duchi, Hazan & Singer (2011). G starts at 0 as in torch (at 0.1 in optax).
    """

    lr: float = number(1e-2, at_least=0)
    eps: float = number(1e-10, at_least=0)

    def init(self, param: Tensor) -> State:
        return {"total": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        total = state["total"] + grad.square()
        return self.lr * grad / (total.sqrt() + self.eps), {"total": total}
