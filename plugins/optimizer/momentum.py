import torch
from torch import Tensor

from experiments import Optimizer, State, number, register


@register("momentum")
class Momentum(Optimizer):
    """Heavy ball: v ← μ v + g; Δ = lr v (Polyak, 1964).

    lr stands outside the velocity: a schedule acts on past gradients too (in Sutskever's form, with
    lr inside, it does not).
    """

    lr: float = number(0.01, at_least=0)
    momentum: float = number(0.9, at_least=0, below=1)

    def init(self, param: Tensor) -> State:
        return {"velocity": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        velocity = self.momentum * state["velocity"] + grad
        return self.lr * velocity, {"velocity": velocity}
