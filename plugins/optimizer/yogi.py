import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _moments, _spaces


@register("yogi")
class Yogi(Optimizer):
    """Adam whose v changes by no more than g² at a step (Zaheer et al., 2018, algorithm 2).

    m ← β₁ m + (1 − β₁) g; v ← v − (1 − β₂) sign(v − g²) g²; Δ = lr m̂ / (√v̂ + ε).

    v begins at `initial` and falls slowly, so that a rate does not rise at once where gradients
    get small. The paper's algorithm leaves m and v uncorrected: `bias_correction=false`; optax and
    pytorch_optimizer have m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), and begin m at `initial` as
    well. lr and ε are the paper's, larger than Adam's.
    """

    lr: float = number(1e-2, at_least=0, space=log_range(1e-4, 1e-1))
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-3, above=0, space=log_range(1e-8, 1e-2))
    initial: float = number(1e-6, at_least=0)
    bias_correction: bool = True
    eps_inside_sqrt: bool = False

    def init(self, param: Tensor) -> State:
        zero = torch.zeros_like(param)
        return {"m": zero, "v": zero + self.initial}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        square = grad.square()
        m = ema(state["m"], grad, self.beta1)
        v = state["v"] - (1 - self.beta2) * (state["v"] - square).sign() * square
        return _moments.step(self, m, v, t), {"m": m, "v": v}
