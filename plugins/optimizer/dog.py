import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register


@register("dog")
class DoG(Optimizer):
    """Gradient descent whose rate is a distance over gradients (Ivgi et al., 2023).

    r ← max(r, ‖θ − θ₀‖), which begins at r₀ (1 + ‖θ₀‖); G ← G + ‖g‖²; Δ = lr r / √(G + ε) g.

    lr stays 1. Numbers by default are the authors', who take r₀ = 1e-4 where there is batch
    normalisation, and evaluate an average of the parameters: `transform=[ema]`. Their decay is
    `transform=[weight_decay]`, coupled. Norms are those of all parameters at once, where their LDoG
    has one rate a layer. Memory: θ₀.
    """

    lr: float = number(1.0, at_least=0)
    r0: float = number(
        1e-6, above=0, space=log_range(1e-8, 1e-2, "around the authors' 1e-6 and 1e-4")
    )
    eps: float = number(1e-8, above=0)

    def init(self, param: Tensor) -> State:
        r = self.r0 * (1 + param.norm())
        return {"start": param.clone(), "r": r.to(param.dtype), "squares": param.new_zeros(())}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        r = torch.maximum(state["r"], (param - state["start"]).norm())
        squares = state["squares"] + grad.square().sum()
        rate = self.lr * r / (squares + self.eps).sqrt()
        return rate * grad, {"start": state["start"], "r": r, "squares": squares}
