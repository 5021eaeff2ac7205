import torch
from torch import Tensor

from experiments import Optimizer, State, number, register
from plugins.optimizer import _spaces


@register("adagrad")
class Adagrad(Optimizer):
    """Gradients over the root of all their squares: G ← G + g²; Δ = lr g / (√G + ε).

    Source: Duchi, Hazan & Singer (2011). Numbers by default are torch's, where G begins at 0. optax
    begins at 0.1, `initial=0.1`, has ε = 1e-7 and divides by √(G + ε): `eps_inside_sqrt=true`.
    """

    lr: float = number(1e-2, at_least=0, space=_spaces.LR)
    eps: float = number(1e-10, at_least=0, space=_spaces.EPS)
    initial: float = number(0.0, at_least=0)
    eps_inside_sqrt: bool = False

    def init(self, param: Tensor) -> State:
        return {"total": torch.zeros_like(param) + self.initial}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        total = state["total"] + grad.square()
        inside = self.eps_inside_sqrt
        root = (total + self.eps).sqrt() if inside else total.sqrt() + self.eps
        return self.lr * grad / root, {"total": total}
