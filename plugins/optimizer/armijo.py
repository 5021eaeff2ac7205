import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register


@register("armijo")
class Armijo(Optimizer):
    """Gradient descent whose rate a line search finds on each batch (Vaswani et al., 2019).

    Δ = η g, where η is the first of min(1.5 η, lr), shrunk by 0.8 again and again, at which
    f(θ − η g) ≤ f(θ) − c η ‖g‖², f being the loss of the batch.

    Where none of `tries` is, there is no step, and the next search goes on from there. The first η
    is lr, the largest. Numbers by default are those of optax, whose rate is 0 for ever once a
    search fails; the authors have c = 0.1, and grow by a factor of 2 an epoch. Each try costs a
    forward pass, mostly it is one or two, which `cost/loss_evaluations` counts. Transforms that
    change the gradient do not fit: the search looks at the loss itself.
    """

    needs = ("loss",)
    in_lanes = in_programs = False  # it branches on values

    lr: float = number(1.0, above=0, space=log_range(0.1, 100, "around the authors' 1"))
    c: float = number(
        1e-4, above=0, below=1, space=log_range(1e-4, 0.5, "optax has 1e-4, the authors 0.1")
    )
    shrink: float = number(0.8, above=0, below=1)
    grow: float = number(1.5, at_least=1)
    tries: int = number(100, at_least=1)

    def init(self, param: Tensor) -> State:
        return {"rate": (param.new_ones(()) * self.lr).to(param.dtype)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        rate = (self.grow * state["rate"]).minimum(torch.as_tensor(self.lr)).to(param.dtype)
        slope = self.c * grad.square().sum()
        for _ in range(self.tries):
            if self.batch.loss(param - rate * grad) <= self.batch.value - rate * slope:
                return rate * grad, {"rate": rate}
            rate = (self.shrink * rate).to(param.dtype)
        least = torch.as_tensor(1e-10 * self.lr, dtype=param.dtype)  # 0 would be so for ever
        return 0 * grad, {"rate": torch.maximum(rate, least)}
