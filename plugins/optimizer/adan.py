import torch
from torch import Tensor

from experiments import Optimizer, State, complement_range, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("adan")
class Adan(Optimizer):
    """Adam with Nesterov's momentum, by differences of gradients (Xie et al., 2022, algorithm 1).

    With d = g − g', where g' is the gradient of the step before (at the first d = 0):
    m ← β₁ m + (1 − β₁) g; q ← β₂ q + (1 − β₂) d; n ← β₃ n + (1 − β₃) (g + β₂ d)²;
    u = lr (m̂ + β₂ q̂) / (√n̂ + ε); θ ← (θ − u) / (1 + lr λ), with every bias corrected.

    The paper writes 1 − β for each β here, which are those of the authors' code. Decay divides, as
    a proximal step does; with `proximal=false` it is AdamW's, θ ← θ − u − lr λ θ. optax takes
    1 − β₂ for β₂ in u and n, which is another rule. lr may be five to ten times AdamW's.
    """

    lr: float = number(1e-3, at_least=0, space=log_range(1e-4, 3e-2))
    beta1: float = number(0.98, at_least=0, below=1, space=complement_range(0.9, 0.99))
    beta2: float = number(0.92, at_least=0, below=1, space=complement_range(0.8, 0.99))
    beta3: float = number(0.99, at_least=0, below=1, space=complement_range(0.95, 0.999))
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    proximal: bool = True

    def init(self, param: Tensor) -> State:
        return {name: torch.zeros_like(param) for name in ("m", "q", "n", "previous")}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        d = (grad - state["previous"]) * (t > 1)
        m = ema(state["m"], grad, self.beta1)
        q = ema(state["q"], d, self.beta2)
        n = ema(state["n"], (grad + self.beta2 * d).square(), self.beta3)
        direction = m / (1 - self.beta1**t) + self.beta2 / (1 - self.beta2**t) * q
        decay = self.lr * self.weight_decay
        root = (n / (1 - self.beta3**t)).sqrt() + self.eps
        step = self.lr * direction / root + decay * param
        after = {"m": m, "q": q, "n": n, "previous": grad}
        return step / (1 + decay) if self.proximal else step, after
