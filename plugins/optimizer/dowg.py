import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register


@register("dowg")
class DoWG(Optimizer):
    """DoG whose gradients count by the distance at their step (Khaled et al., 2023).

    r² ← max(r², ‖θ − θ₀‖²), which begins at r₀²; v ← v + r² ‖g‖²; Δ = lr r² / (√v + ε) g.

    lr stays 1. The authors' code has one number, 1e-4, for both r₀² and ε; here as in optax they
    are two. Its rates are larger than those of DoG, and need a schedule where gradients are noisy.
    Memory: θ₀.
    """

    lr: float = number(1.0, at_least=0)
    r0: float = number(1e-2, above=0, space=log_range(1e-4, 1, "around the authors' 1e-2"))
    eps: float = number(1e-4, at_least=0)

    def init(self, param: Tensor) -> State:
        square = param.new_ones(()) * self.r0 * self.r0
        zero = param.new_zeros(())
        return {"start": param.clone(), "square": square.to(param.dtype), "v": zero}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        square = torch.maximum(state["square"], (param - state["start"]).square().sum())
        v = state["v"] + square * grad.square().sum()
        rate = self.lr * square / (v.sqrt() + self.eps)
        return rate * grad, {"start": state["start"], "square": square, "v": v}
