import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _spaces, _trust


@register("lamb")
class LAMB(Optimizer):
    """AdamW whose step is as long as the parameter, each by itself (You et al., 2020, algorithm 2).

    r = m̂ / (√v̂ + ε) + λ θ, with m̂ and v̂ of Adam; Δ = lr ‖θ‖ / ‖r‖ r, where the ratio is 1 if
    either norm is 0. It is made for large batches.

    λ θ is within the ratio, so that lr alone says how far a parameter moves. optax is the same;
    pytorch_optimizer leaves biases in r, takes ‖θ‖ for at most 10, and by default keeps the decay
    out of the ratio.
    """

    scope = Scope.tensor

    lr: float = number(1e-3, at_least=0, space=log_range(1e-4, 1e-1))
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-6, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.01, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        adam = m / (1 - self.beta1**t) / ((v / (1 - self.beta2**t)).sqrt() + self.eps)
        r = adam + self.weight_decay * param
        return self.lr * _trust.ratio(param, r.norm()) * r, {"m": m, "v": v}
