import torch
from torch import Tensor

from experiments import Optimizer, State, ema, linear_range, number, register
from plugins.optimizer import _spaces


@register("rmsprop")
class RMSprop(Optimizer):
    """Gradients over their running root mean square (Tieleman & Hinton, 2012, lecture 6e).

    v ← ρ v + (1 − ρ) g²; b ← μ b + g / (√v + ε); Δ = lr b. With `centered` the mean of gradients is
    taken out, a ← ρ a + (1 − ρ) g, and v − a² takes the place of v (Graves, 2013).

    ε stands outside the root as in torch; optax puts it inside, `eps_inside_sqrt=true`, which
    differs much where ε is large. ρ is torch's 0.99 (0.9 in the lecture and in optax). optax has lr
    within b, which is equal where lr is constant.
    """

    lr: float = number(1e-2, at_least=0, space=_spaces.ADAPTIVE_LR)
    decay: float = number(0.99, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    momentum: float = number(0.0, at_least=0, below=1, space=linear_range(0, 0.99))
    centered: bool = False
    eps_inside_sqrt: bool = False

    def init(self, param: Tensor) -> State:
        names = ("v", "b", "a") if self.centered else ("v", "b")
        return {name: torch.zeros_like(param) for name in names}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        square = v = ema(state["v"], grad.square(), self.decay)
        after = {"v": v}
        if self.centered:
            after["a"] = ema(state["a"], grad, self.decay)
            square = (v - after["a"].square()).clamp(min=0)  # below by rounding alone
        inside = self.eps_inside_sqrt
        root = (square + self.eps).sqrt() if inside else square.sqrt() + self.eps
        b = self.momentum * state["b"] + grad / root
        return self.lr * b, after | {"b": b}
