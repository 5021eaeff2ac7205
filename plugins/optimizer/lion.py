import torch
from torch import Tensor

from experiments import Optimizer, State, complement_range, ema, log_range, number, register
from plugins.optimizer._sign import sign


@register("lion")
class Lion(Optimizer):
    """The sign of an average, found by a search for programs (Chen et al., 2023).

    Δ = lr (sign(β₁ m + (1 − β₁) g) + λ θ); after it m ← β₂ m + (1 − β₂) g.

    Every coordinate moves by lr at each step, so take an lr three to ten times smaller than AdamW's
    and a λ as much larger. Numbers by default are the authors' (optax has λ = 0.001). Decay is
    decoupled and multiplied by lr.
    """

    lr: float = number(
        1e-4, at_least=0, space=log_range(1e-5, 1e-3, "a tenth of AdamW's: Chen et al., 2023")
    )
    beta1: float = number(0.9, at_least=0, below=1, space=complement_range(0.8, 0.98))
    beta2: float = number(0.99, at_least=0, below=1, space=complement_range(0.95, 0.998))
    weight_decay: float = number(
        0.0, at_least=0, space=log_range(0.05, 10, "ten times AdamW's: Chen et al., 2023")
    )

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        direction = sign(ema(state["m"], grad, self.beta1))
        step = self.lr * (direction + self.weight_decay * param)
        return step, {"m": ema(state["m"], grad, self.beta2)}
