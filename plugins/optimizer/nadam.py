import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("nadam")
class NAdam(Optimizer):
    """Adam that looks ahead, as Nesterov's momentum does (Dozat, 2016).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; Π ← Π μₜ;
    Δ = lr ((1 − μₜ) / (1 − Π) g + μₜ₊₁ / (1 − Π μₜ₊₁) m) / (√v̂ + ε), where v̂ = v / (1 − β₂ᵗ) and
    the momentum rises from β₁/2 to β₁: μₜ = β₁ (1 − 0.96^(ψ t) / 2).

    As in torch, with its numbers; ψ is its `momentum_decay`. With `rising=false` μₜ = β₁ from the
    first step on, as in optax, and as in `nadamw`. ψ = 0 would be β₁/2 for ever, and is refused.
    """

    lr: float = number(2e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    psi: float = number(4e-3, above=0)
    rising: bool = True  # whether the momentum does

    def init(self, param: Tensor) -> State:
        return {
            "m": torch.zeros_like(param),
            "v": torch.zeros_like(param),
            "product": param.new_ones(()),
        }

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        mu, later = self._momentum(t), self._momentum(t + 1)
        product = state["product"] * mu
        ahead = (1 - mu) / (1 - product) * grad + later / (1 - product * later) * m
        step = self.lr * ahead / ((v / (1 - self.beta2**t)).sqrt() + self.eps)
        return step, {"m": m, "v": v, "product": product.to(param.dtype)}

    def _momentum(self, t: Tensor) -> Tensor:
        share = 0.96 ** (self.psi * t) / 2 if self.rising else torch.zeros_like(t)
        return self.beta1 * (1 - share)
