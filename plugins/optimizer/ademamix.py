import torch
from torch import Tensor

from experiments import (
    Optimizer,
    State,
    complement_range,
    ema,
    linear_range,
    number,
    register,
)
from plugins.optimizer import _spaces


@register("ademamix")
class AdEMAMix(Optimizer):
    """AdamW with a second, slow average of gradients (Pagliardini et al., 2024).

    m ← β₁ m + (1 − β₁) g; n ← β₃' n + (1 − β₃') g; v ← β₂ v + (1 − β₂) g²;
    Δ = lr ((m̂ + α' n) / (√v̂ + ε) + λ θ), with m̂ and v̂ of Adam; n's bias is not corrected.

    Over the first `warmup` steps α' grows from 0 to α, and the half-life of n from that of m:
    1 / ln β₃' goes from 1 / ln β₁ to 1 / ln β₃. The authors let it last for all of a run's steps,
    and without it a large α may diverge; 0 has none, as optax and pytorch_optimizer by default. n
    remembers some 1 / (1 − β₃) steps: in a run of fewer, take a smaller β₃. α is 5 in most of the
    paper and 2 in its code.
    """

    lr: float = number(1e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    beta3: float = number(0.9999, at_least=0, below=1, space=complement_range(0.99, 0.9999))
    alpha: float = number(
        5.0, at_least=0, space=linear_range(2.0, 10.0, "Pagliardini et al., 2024")
    )
    warmup: float = number(0.0, at_least=0)  # steps
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        return {name: torch.zeros_like(param) for name in ("m", "n", "v")}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        share = (t / self.warmup).clamp(max=1)
        beta3 = _between(self.beta1, self.beta3, share)
        m = ema(state["m"], grad, self.beta1)
        n = ema(state["n"], grad, beta3)
        v = ema(state["v"], grad.square(), self.beta2)
        root = (v / (1 - self.beta2**t)).sqrt() + self.eps
        adam = (m / (1 - self.beta1**t) + self.alpha * share * n) / root
        return self.lr * (adam + self.weight_decay * param), {"m": m, "n": n, "v": v}


def _between(start: float, end: float, share: Tensor) -> Tensor:
    """Return the rate of an average whose half-life lies between those of two others."""
    first, last = (torch.as_tensor(beta).log() for beta in (start, end))
    return (1 / ((1 - share) / first + share / last)).exp()
