import torch
from torch import Tensor

from experiments import Optimizer, State, number, register


@register("nesterov")
class Nesterov(Optimizer):
    """Accelerated gradient: v ← μ v + g; Δ = lr (g + μ v) (Nesterov, 1983; Sutskever et al., 2013).

    The parameters are the look-ahead iterate, where the gradient is taken.
    """

    lr: float = number(0.01, at_least=0)
    momentum: float = number(0.9, at_least=0, below=1)

    def init(self, param: Tensor) -> State:
        return {"velocity": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        velocity = self.momentum * state["velocity"] + grad
        return self.lr * (grad + self.momentum * velocity), {"velocity": velocity}
