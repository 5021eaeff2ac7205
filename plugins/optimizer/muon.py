import math
from collections.abc import Sequence
from enum import Enum

import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _spaces


class Scale(Enum):
    """How long the step of a matrix [outputs, inputs] is, by torch's names."""

    original = "original"  # √max(1, outputs/inputs)
    match_rms_adamw = "match_rms_adamw"  # 0.2 √max(outputs, inputs)
    spectral_unclamped = "spectral_unclamped"  # √(outputs/inputs)


@register("muon")
class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal (Jordan et al., 2024).

    b ← μ b + (1 − μ) g; u = μ b + (1 − μ) g; Δ = lr (√max(1, outputs/inputs) O(u) + λ θ), where O
    is a Newton-Schulz iteration that brings the singular values near 1: X ← u / ‖u‖, five times
    X ← a X + (b A + c A²) X with A = X Xᵀ. The weights of a convolution are a matrix [outputs,
    rest]. Numbers by default are the author's; `torch.optim.Muon` has lr=0.001, weight_decay=0.1,
    and iterates in bfloat16, here it is in the parameter's own dtype.

    `scale=match_rms_adamw` makes steps as long as AdamW's are, so that its lr and λ fit (Liu et
    al., 2025); pytorch_optimizer has it by default. optax takes rows for inputs, and corrects the
    bias of b and g in u. With `nesterov=false` u = b.

    It takes no vectors: `optimizer=muon_adamw` gives biases and norms to AdamW.
    """

    scope = Scope.tensor

    lr: float = number(0.02, at_least=0, space=log_range(1e-3, 0.1, "around the author's"))
    momentum: float = number(0.95, at_least=0, below=1, space=_spaces.MOMENTUM)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    iterations: int = number(5, at_least=1)
    nesterov: bool = True
    scale: Scale = Scale.original

    def init(self, param: Tensor) -> State:
        if param.dim() < 2:
            raise ValueError(
                f"its shape {list(param.shape)} is no matrix; give such parameters another rule: "
                "optimizer=muon_adamw"
            )
        return {"b": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        b = ema(state["b"], grad, self.momentum)
        u = (ema(grad, b, 1 - self.momentum) if self.nesterov else b).flatten(1)
        direction = _length(u.shape, self.scale) * _orthogonal(u, self.iterations)
        return self.lr * (direction.view_as(param) + self.weight_decay * param), {"b": b}


def _length(shape: Sequence[int], scale: Scale) -> float:
    outputs, inputs = shape
    if scale is Scale.match_rms_adamw:
        return 0.2 * math.sqrt(max(outputs, inputs))
    ratio = outputs / inputs
    return math.sqrt(ratio if scale is Scale.spectral_unclamped else max(1, ratio))


def _orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """Bring the singular values near 1."""
    if len(matrix) > len(matrix.T):  # the smaller of both products
        return _orthogonal(matrix.T, iterations).T
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x
