from dataclasses import field
from fnmatch import fnmatch

import torch
from torch import Tensor

from experiments import (
    ConfigError,
    Parameter,
    State,
    Transform,
    log_range,
    number,
    options,
    register,
)

_ROLES = ("weight", "bias", "norm")


@register("weight_decay")
class WeightDecay(Transform):
    """Pull the parameters to zero: g ← g + λ θ, or decoupled Δ ← Δ + lr λ θ.

    Coupled decay is the L2 penalty of `torch.optim.SGD`, which Adam divides by the gradients' size;
    decoupled decay is that of AdamW (Loshchilov & Hutter, 2019), times lr as in torch and optax.
    `independent` of lr it is Δ ← Δ + λ θ, as in the paper with a constant schedule (with another
    one it is decoupled decay of λ / lr): what is the best λ then does not change with lr.

    `skip` spares parameters by role (`bias`, `norm`, `weight`) or by a pattern of their names.
    """

    weight_decay: float = number(1e-4, at_least=0, space=log_range(1e-6, 1e-1))
    decoupled: bool = False
    independent: bool = False  # of lr, which decoupled decay may be
    skip: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.independent and not self.decoupled:
            raise ValueError("independent=true is a form of decoupled decay: set decoupled=true")

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        names = [part.name for part in layout]
        for word in self.skip:
            if word not in _ROLES and not any(fnmatch(name, word) for name in names):
                allowed = options(word, [*_ROLES, *names])
                raise ConfigError(
                    f"transform.weight_decay.skip={word} fits no parameter; {allowed}"
                )
        mask = torch.ones_like(param)
        for part in layout:
            if any(word == part.role or fnmatch(part.name, word) for word in self.skip):
                mask[part.start : part.stop] = 0
        return {"mask": mask}

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        return (grad if self.decoupled else grad + self._decay(param, state)), state

    def on_step(
        self, step: Tensor, param: Tensor, state: State, lr: Tensor
    ) -> tuple[Tensor, State]:
        if not self.decoupled:
            return step, state
        decay = self._decay(param, state)
        return step + (decay if self.independent else lr * decay), state

    def _decay(self, param: Tensor, state: State) -> Tensor:
        return self.weight_decay * state["mask"] * param
