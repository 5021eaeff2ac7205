from torch import Tensor

from experiments import Parameter, State, Transform, ema, number, register


@register("ema")
class EMA(Transform):
    """Evaluate at a running average of the parameters: x ← β x + (1 − β) θ (Polyak & Juditsky).

    It begins at the initial parameters and looks back about 1 / (1 − β) steps: with fewer steps
    than that, choose a smaller β.
    """

    decay: float = number(0.999, at_least=0, below=1)

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        return {"average": param.clone()}

    def on_params(self, param: Tensor, state: State) -> tuple[Tensor, State]:
        return param, {"average": ema(state["average"], param, self.decay)}

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        return state["average"]
