from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor

from experiments import Scope, State, Transform, log_range, number, register


class Of(Enum):
    """What is made as long as its parameter."""

    step = "step"
    gradient = "gradient"


@register("trust_ratio")
class TrustRatio(Transform):
    """Make each parameter's step as long as the parameter: Δ ← τ ‖θ‖ / ‖u‖ Δ (You et al., 2020).

    Δ = lr u is the rule's step. The ratio is 1 where a norm is 0, and at most `clip`, if that is
    given. With adamw it is LAMB, whose decay is in the step.

    With `of=gradient` it is g ← τ ‖θ‖ / ‖g‖ g, before the rule: with
    `transform=[weight_decay,trust_ratio]`, τ = 0.001 and momentum it is LARS (You et al., 2017) as
    in optax; the paper divides by ‖g‖ + λ ‖θ‖. A parameter that begins at 0 then begins with steps
    of 1 / τ times what is meant; `vectors=false` spares biases and norms.
    """

    scope: ClassVar[Scope] = Scope.tensor

    of: Of = Of.step
    trust: float = number(1.0, above=0, space=log_range(1e-3, 1, "You et al., 2017, 2020"))  # τ
    clip: float | None = number(None, above=0)
    vectors: bool = True

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        return (grad * self._ratio(grad, param) if self.of is Of.gradient else grad), state

    def on_step(
        self, step: Tensor, param: Tensor, state: State, lr: Tensor
    ) -> tuple[Tensor, State]:
        return (step * self._ratio(step / lr, param) if self.of is Of.step else step), state

    def _ratio(self, vector: Tensor, param: Tensor) -> Tensor:
        if param.dim() < 2 and not self.vectors:
            return param.new_ones(())
        length, size = param.norm(), vector.norm()
        ratio = self.trust * length / size
        one = torch.ones_like(ratio)
        ratio = torch.where((length > 0) & (size > 0), ratio, one)
        return ratio if self.clip is None else torch.minimum(ratio, self.clip * one)
