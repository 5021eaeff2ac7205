from torch import Tensor

from experiments import Optimizer, State, number, register
from plugins.optimizer import _spaces


@register("sgd")
class SGD(Optimizer):
    """Gradient descent: Δ = lr g (Robbins & Monro, 1951)."""

    lr: float = number(0.1, at_least=0, space=_spaces.LR)

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        return self.lr * grad, state
