from typing import ClassVar

import torch
from torch import Tensor

from experiments import Parameter, Scope, State, Transform, register


@register("cautious")
class Cautious(Transform):
    """Leave out of the step what goes against the gradient (Liang et al., 2024).

    Δ ← n / (k + 1) Δ where Δ g > 0, and 0 elsewhere: n numbers has the parameter, of which k are
    left. The authors' code divides by k instead, at least n / 1000. Decoupled decay stays whole
    where it comes later, `transform=[cautious,weight_decay]`; that of `adamw` is in the step.
    """

    scope: ClassVar[Scope] = Scope.tensor

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        return {"grad": torch.zeros_like(param)}

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        return grad, {"grad": grad}

    def on_step(
        self, step: Tensor, param: Tensor, state: State, lr: Tensor
    ) -> tuple[Tensor, State]:
        kept = (step * state["grad"] > 0).to(step.dtype)
        return step * kept * (step.numel() / (kept.sum() + 1)), state
