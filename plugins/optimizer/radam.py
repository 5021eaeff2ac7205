import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("radam")
class RAdam(Optimizer):
    """Adam that waits until it knows the gradients' size: a warm-up by itself (Liu et al., 2020).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; m̂ = m / (1 − β₁ᵗ); ρ∞ = 2 / (1 − β₂) − 1;
    ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ); r² = (ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ);
    Δ = lr m̂ r √(1 − β₂ᵗ) / (√v + ε) where ρ > 5, by default from step 6 on, and lr m̂ before.

    The paper has `threshold=4`; 5 is that of its authors' code and of torch. Both add ε before v is
    corrected, optax after: `eps_corrected=true`. First steps of lr m̂ are those of momentum, and
    large where gradients are; some libraries leave them out.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, above=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    threshold: float = number(5.0, at_least=4)
    eps_corrected: bool = False

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        bias, most = 1 - self.beta2**t, 2 / (1 - self.beta2) - 1
        rho = most - 2 * t * (1 - bias) / bias
        r = ((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)).clamp(min=0).sqrt()
        eps = self.eps * bias.sqrt() if self.eps_corrected else self.eps
        adapted = r * bias.sqrt() / (v.sqrt() + eps)
        factor = torch.where(rho > self.threshold, adapted, torch.ones_like(v))
        return self.lr / (1 - self.beta1**t) * m * factor, {"m": m, "v": v}
