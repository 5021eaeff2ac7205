import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register
from plugins.optimizer._sign import sign


@register("rprop")
class Rprop(Optimizer):
    """Signs of gradients, and of each number a size of its own (Riedmiller & Braun, 1993).

    Where g has the sign of the gradient before, size ← min(1.2 size, longest); where it has the
    other one, size ← max(0.5 size, shortest) and g ← 0; Δ = lr size sign(g). Sizes begin at 1.

    Sizes are in units of lr, which torch takes for the first size alone: `longest` and `shortest`
    are its 50 and 1e-6 for its lr of 0.01, and a schedule of lr has an effect. optax compares with
    a gradient one step too old. Signs of a part of the data change by noise, and the sizes shrink:
    each step must see all of the train split.
    """

    full_batch = True

    lr: float = number(0.01, at_least=0, space=log_range(1e-4, 0.1, "around the paper's 0.1"))
    grow: float = number(1.2, at_least=1)
    shrink: float = number(0.5, above=0, at_most=1)
    shortest: float = number(1e-4, above=0, at_most=1)
    longest: float = number(5e3, at_least=1)

    def init(self, param: Tensor) -> State:
        return {"size": torch.ones_like(param), "grad": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        agreement = grad.sign() * state["grad"].sign()
        factor = 1 + (self.grow - 1) * agreement.clamp(min=0)
        factor = factor + (1 - self.shrink) * agreement.clamp(max=0)
        shortest = torch.as_tensor(self.shortest, dtype=param.dtype)
        longest = torch.as_tensor(self.longest, dtype=param.dtype)
        size = torch.maximum(torch.minimum(state["size"] * factor, longest), shortest)
        grad = grad * (agreement >= 0)
        return self.lr * size * sign(grad), {"size": size, "grad": grad}
