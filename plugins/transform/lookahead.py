import torch
from torch import Tensor

from experiments import Parameter, State, Transform, linear_range, number, register


@register("lookahead")
class Lookahead(Transform):
    """Go back from every k-th step a part of the way (Zhang et al., 2019).

    At every k-th step x ← x + α (θ − x) and θ ← x. The slow parameters x are those that are
    evaluated; the rule's own memory goes on as it is.
    """

    every: int = number(5, at_least=1, first_step=True)
    alpha: float = number(
        0.5, at_least=0, at_most=1, space=linear_range(0.2, 0.8, "Zhang et al., 2019")
    )

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        return {"slow": param.clone(), "step": param.new_zeros((), dtype=torch.int64)}

    def on_params(self, param: Tensor, state: State) -> tuple[Tensor, State]:
        step, slow = state["step"] + 1, state["slow"]
        now = step % self.every == 0
        slow = torch.where(now, slow + self.alpha * (param - slow), slow)
        return torch.where(now, slow, param), {"slow": slow, "step": step}

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        return state["slow"]
