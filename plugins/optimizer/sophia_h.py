import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("sophia_h")
class SophiaH(Optimizer):
    """Momentum over the Hessian's diagonal, clipped (Liu et al., 2023, algorithm 3).

    m ← β₁ m + (1 − β₁) g; at every k-th step, from the first on, h ← β₂ h + (1 − β₂) z ⊙ (H z)
    with signs z drawn at random (Hutchinson); Δ = lr clip(m / max(γ h, ε), 1).

    Where curvature is small or negative, the step is lr times a sign. optax corrects the bias of m,
    and uses h from the step after its estimate on. Decay: `transform=[weight_decay]`, decoupled.
    A product with H costs two gradients.
    """

    needs = ("hvp", "noise")
    in_programs = False  # steps with an estimate and without differ

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.965, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.99, at_least=0, below=1, space=_spaces.BETA2)
    gamma: float = number(0.01, above=0, space=log_range(5e-3, 0.2, "Liu et al., 2023"))
    eps: float = number(1e-12, above=0)
    every: int = number(10, at_least=1)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "h": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m, h = ema(state["m"], grad, self.beta1), state["h"]
        if (self.batch.t - 1) % self.every == 0:
            z = self.batch.noise(param).sign()
            h = ema(h, z * self.batch.hvp(param, z), self.beta2)
        curvature = torch.maximum(self.gamma * h, torch.as_tensor(self.eps, dtype=h.dtype))
        return self.lr * (m / curvature).clamp(-1, 1), {"m": m, "h": h}
