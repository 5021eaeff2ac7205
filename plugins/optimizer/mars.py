import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("mars")
class MARS(Optimizer):
    """AdamW along gradients with less variance (Yuan et al., 2024, algorithm 2, approximate).

    c = g + γ β₁ / (1 − β₁) (g − g'), where g' is the gradient of the step before, at the first g
    itself; c ← c / max(1, ‖c‖), each parameter by itself; then AdamW's m, v and step with c for g.

    The exact form takes g' anew, at the parameters before on the batch of now, for a gradient more
    at each step. The authors' code begins with g' = 0, which is a larger first c, and gives vectors
    to AdamW, as a preset of `route` can. Which gradients are cut to length 1 depends on the size of
    the loss.
    """

    scope = Scope.tensor

    lr: float = number(3e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.95, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.99, at_least=0, below=1, space=_spaces.BETA2)
    gamma: float = number(0.025, at_least=0, space=log_range(5e-3, 0.1))
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        return {name: torch.zeros_like(param) for name in ("m", "v", "previous")}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        weight = self.gamma * self.beta1 / (1 - self.beta1) * (t > 1)
        c = grad + weight * (grad - state["previous"])
        c = c / c.norm().clamp(min=1)
        m = ema(state["m"], c, self.beta1)
        v = ema(state["v"], c.square(), self.beta2)
        adam = m / (1 - self.beta1**t) / ((v / (1 - self.beta2**t)).sqrt() + self.eps)
        step = self.lr * (adam + self.weight_decay * param)
        return step, {"m": m, "v": v, "previous": grad}
