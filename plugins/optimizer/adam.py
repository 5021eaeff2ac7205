import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _moments, _spaces


@register("adam")
class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba, 2015, algorithm 1).

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; Δ = lr m̂ / (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ)
    and v̂ = v / (1 − β₂ᵗ). Numbers by default are the paper's.

    ε is added outside the root, after the bias correction, as in the paper, torch and optax;
    `eps_inside_sqrt` makes it √(v̂ + ε), which is optax's `eps_root`. TensorFlow adds it to √v
    before the correction: there the same ε counts more in the first steps.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    bias_correction: bool = True
    eps_inside_sqrt: bool = False

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        return _moments.step(self, m, v, t), {"m": m, "v": v}
