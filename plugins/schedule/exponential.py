from torch import Tensor

from experiments import Schedule, number, register


@register("exponential")
class Exponential(Schedule):
    """Multiplied by gamma every unit, continuously: γ^time."""

    gamma: float = number(0.95, above=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        return self.gamma**time
