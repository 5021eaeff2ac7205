import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("dadapt_adam")
class DAdaptAdam(Optimizer):
    """Adam that finds its own rate d, a bound of the distance to go (Defazio & Mishchenko, 2023).

    γ = d lr; r ← √β₂ r + (1 − √β₂) γ ⟨g, s / (√v + ε)⟩; m ← β₁ m + (1 − β₁) γ g;
    v ← β₂ v + (1 − β₂) g²; s ← √β₂ s + (1 − √β₂) γ g; d ← max(d, r / ((1 − √β₂) ‖s‖₁));
    Δ = m / (√v + ε) + γ λ θ.

    d begins at d₀, and lr stays 1: a schedule multiplies it. Numbers by default are those of the
    authors' package; γ has the d from before, and decay is decoupled, their `decouple=True`. With
    `bias_correction` γ has Adam's factor √(1 − β₂ᵗ)/(1 − β₁ᵗ), as it always has in optax; without,
    first steps are small. pytorch_optimizer's takes another path. Memory: s beside Adam's.
    """

    lr: float = number(1.0, at_least=0)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, above=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, above=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    d0: float = number(1e-6, above=0, space=log_range(1e-8, 1e-4, "around the authors'"))
    bias_correction: bool = False

    def init(self, param: Tensor) -> State:
        vectors = {name: torch.zeros_like(param) for name in ("m", "v", "s")}
        d = param.new_ones(()) * self.d0
        return {**vectors, "r": param.new_zeros(()), "d": d.to(param.dtype)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        rate, beta3 = state["d"] * self.lr, self.beta2**0.5
        if self.bias_correction:
            rate = rate * (1 - self.beta2**t).sqrt() / (1 - self.beta1**t)
        weighted = state["s"] / (state["v"].sqrt() + self.eps)
        r = beta3 * state["r"] + (1 - beta3) * rate * grad.dot(weighted)
        m = ema(state["m"], rate * grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        s = ema(state["s"], rate * grad, beta3)
        length = s.abs().sum().clamp(min=torch.finfo(s.dtype).tiny)
        d = torch.maximum(state["d"], (r / ((1 - beta3) * length)).to(s.dtype))
        step = m / (v.sqrt() + self.eps) + rate * self.weight_decay * param
        return step, {"m": m, "v": v, "s": s, "r": r.to(s.dtype), "d": d}
