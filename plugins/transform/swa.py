import torch
from torch import Tensor

from experiments import Parameter, State, Transform, number, register


@register("swa")
class SWA(Transform):
    """Evaluate at the mean of the parameters from a step on (Izmailov et al., 2018).

    x ← x + (θ − x) / n, where n counts the parameters that are averaged: those of the steps
    `start`, `start` + `every`, ...; until then the parameters themselves are evaluated. The authors
    begin after three quarters of the steps, and take those of the ends of epochs.
    """

    start: int = number(1, at_least=1, first_step=True)
    every: int = number(1, at_least=1)

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        return {"average": param.clone(), "step": param.new_zeros((), dtype=torch.int64)}

    def on_params(self, param: Tensor, state: State) -> tuple[Tensor, State]:
        step = state["step"] + 1
        late = step - self.start
        count = (late // self.every + 1).clamp(min=1)  # before `start` the average is θ itself
        taken = (late < 0) | (late % self.every == 0)
        share = taken.to(param.dtype) / count
        return param, {"average": state["average"].lerp(param, share), "step": step}

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        return state["average"]
