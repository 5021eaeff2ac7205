import math

import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("muon")
class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal (Jordan et al., 2024).

    b ← μ b + (1 − μ) g; u = μ b + (1 − μ) g; Δ = lr (√max(1, outputs/inputs) O(u) + λ θ), where O
    is a Newton-Schulz iteration that brings the singular values near 1: X ← u / ‖u‖, five times
    X ← a X + (b A + c A²) X with A = X Xᵀ. The weights of a convolution are a matrix [outputs,
    rest]. Numbers by default are the author's; `torch.optim.Muon` has lr=0.001, weight_decay=0.1,
    and iterates in bfloat16, here it is in the parameter's own dtype.

    It takes no vectors: `optimizer=muon_adamw` gives biases and norms to AdamW.
    """

    scope = Scope.tensor

    lr: float = number(0.02, at_least=0, space=log_range(1e-3, 0.1, "around the author's"))
    momentum: float = number(0.95, at_least=0, below=1, space=_spaces.MOMENTUM)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    iterations: int = number(5, at_least=1)

    def init(self, param: Tensor) -> State:
        if param.dim() < 2:
            raise ValueError(
                f"its shape {list(param.shape)} is no matrix; give such parameters another rule: "
                "optimizer=muon_adamw"
            )
        return {"b": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        b = ema(state["b"], grad, self.momentum)
        u = ema(grad, b, 1 - self.momentum)
        direction = _orthogonal(u.flatten(1), self.iterations).view_as(param)
        return self.lr * (direction + self.weight_decay * param), {"b": b}


def _orthogonal(matrix: Tensor, iterations: int) -> Tensor:
    """Bring the singular values near 1, and scale by the root of outputs over inputs, if above."""
    outputs, inputs = matrix.shape
    if outputs > inputs:  # the smaller of both products
        return _orthogonal(matrix.T, iterations).T * math.sqrt(outputs / inputs)
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x
