import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("momentum")
class Momentum(Optimizer):
    """Heavy ball: v ← μ v + g; Δ = lr v (Polyak, 1964).

    lr stands outside the velocity, as in torch and optax: a schedule acts on past gradients too.
    With `lr_inside` it is Polyak's form, and Sutskever's: v ← μ v + lr g; Δ = v. Both are equal
    where lr is constant.

    `dampened` makes v an average, v ← μ v + (1 − μ) g, whose steps are 1 − μ times as long. Torch's
    `dampening` leaves the first gradient as it is, which then outweighs those that follow.
    """

    lr: float = number(0.01, at_least=0, space=_spaces.LR)
    momentum: float = number(0.9, at_least=0, below=1, space=_spaces.MOMENTUM)
    dampened: bool = False
    lr_inside: bool = False

    def init(self, param: Tensor) -> State:
        return {"velocity": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        grad = self.lr * grad if self.lr_inside else grad
        if self.dampened:
            velocity = ema(state["velocity"], grad, self.momentum)
        else:
            velocity = self.momentum * state["velocity"] + grad
        return velocity if self.lr_inside else self.lr * velocity, {"velocity": velocity}
