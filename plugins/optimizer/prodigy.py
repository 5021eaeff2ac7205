import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("prodigy")
class Prodigy(Optimizer):
    """Adam that finds its own rate d, a bound of the distance to go (Mishchenko & Defazio, 2023).

    m ← β₁ m + (1 − β₁) d g; v ← β₂ v + (1 − β₂) d² g²; r ← √β₂ r + (d/d₀) d lr ⟨g, θ₀ − θ⟩;
    s ← √β₂ s + (d/d₀) d lr g; d' = max(d, r / ‖s‖₁); Δ = d lr (m / (√v + d' ε) + λ θ).

    d begins at d₀, and lr stays 1: a schedule multiplies it. As in the authors' package, the step
    has the d from before, and there is no correction of bias (optax has one). A warm-up shrinks s,
    and so lets d grow too far.
    """

    lr: float = number(1.0, at_least=0)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, above=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    d0: float = number(1e-6, above=0)

    def init(self, param: Tensor) -> State:
        vectors = {name: torch.zeros_like(param) for name in ("m", "v", "s")}
        scalars = {name: param.new_zeros(()) for name in ("r", "d")}
        return {"start": param.clone(), **vectors, **scalars}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        d = torch.maximum(state["d"], torch.as_tensor(self.d0, dtype=param.dtype))
        beta3 = self.beta2**0.5
        m = ema(state["m"], d * grad, self.beta1)
        v = ema(state["v"], (d * grad).square(), self.beta2)
        weight = d / self.d0 * d * self.lr
        r = beta3 * state["r"] + weight * grad.dot(state["start"] - param)
        s = beta3 * state["s"] + weight * grad
        bound = r / s.abs().sum().clamp(min=torch.finfo(s.dtype).tiny)
        larger = torch.maximum(d, bound.to(d.dtype))
        step = d * self.lr * (m / (v.sqrt() + larger * self.eps) + self.weight_decay * param)
        after = {"m": m, "v": v, "s": s, "r": r.to(d.dtype), "d": larger}
        return step, after | {"start": state["start"]}
