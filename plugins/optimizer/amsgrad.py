from enum import Enum

import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _moments, _spaces


class Of(Enum):
    """Of what the largest so far is taken."""

    v = "v"
    corrected = "corrected"


@register("amsgrad")
class AMSGrad(Optimizer):
    """Adam whose denominator never falls (Reddi, Kale & Kumar, 2018).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; V ← max(V, v); Δ = lr m̂ / (√V̂ + ε), where
    m̂ = m / (1 − β₁ᵗ) and V̂ = V / (1 − β₂ᵗ).

    Libraries differ much: as torch's, the largest is that of v, and is corrected then;
    `largest=corrected` takes that of v / (1 − β₂ᵗ), as optax does. The paper corrects nothing:
    `bias_correction=false`. Decoupled decay: `transform=[weight_decay]`.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    largest: Of = Of.v
    bias_correction: bool = True
    eps_inside_sqrt: bool = False  # as in adam

    def init(self, param: Tensor) -> State:
        return {name: torch.zeros_like(param) for name in ("m", "v", "largest")}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        if self.largest is Of.corrected and self.bias_correction:
            bias = 1 - self.beta2**t
            largest = torch.maximum(state["largest"], v / bias)
            step = _moments.step(self, m, bias * largest, t)
        else:
            largest = torch.maximum(state["largest"], v)
            step = _moments.step(self, m, largest, t)
        return step, {"m": m, "v": v, "largest": largest}
