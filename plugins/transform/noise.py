import torch
from torch import Tensor

from experiments import Parameter, State, Transform, log_range, number, register


@register("noise")
class Noise(Transform):
    """Add to the gradient noise that fades (Neelakantan et al., 2015).

    g ← g + σ z with z standard normal, where σ² = η / (1 + t)^γ and t = 0 at the first step. Seed
    and step decide z. The authors choose η among 0.01, 0.3 and 1.
    """

    needs = ("noise",)

    eta: float = number(0.01, at_least=0, space=log_range(0.01, 1, "Neelakantan et al., 2015"))
    gamma: float = number(0.55, at_least=0)

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        return {"step": param.new_zeros((), dtype=torch.int64)}

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        step = state["step"] + 1
        deviation = (self.eta / step**self.gamma) ** 0.5
        return grad + deviation * self.batch.noise(grad), {"step": step}
