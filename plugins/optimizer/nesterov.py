import torch
from torch import Tensor

from experiments import Optimizer, State, number, register
from plugins.optimizer import _spaces


@register("nesterov")
class Nesterov(Optimizer):
    """Accelerated gradient: v ← μ v + g; Δ = lr (g + μ v) (Nesterov, 1983; Sutskever et al., 2013).

    The parameters are the look-ahead iterate, where the gradient is taken, as in torch and optax.
    lr stands outside the velocity; with `lr_inside` it is Sutskever's form, v ← μ v + lr g;
    Δ = lr g + μ v, which is equal where lr is constant.
    """

    lr: float = number(0.01, at_least=0, space=_spaces.LR)
    momentum: float = number(0.9, at_least=0, below=1, space=_spaces.MOMENTUM)
    lr_inside: bool = False

    def init(self, param: Tensor) -> State:
        return {"velocity": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        grad = self.lr * grad if self.lr_inside else grad
        velocity = self.momentum * state["velocity"] + grad
        step = grad + self.momentum * velocity
        return step if self.lr_inside else self.lr * step, {"velocity": velocity}
