from torch import Tensor

from experiments import Schedule, number, register


@register("polynomial")
class Polynomial(Schedule):
    """From 1 to `final` along (1 − time / total)^power; linear with power 1."""

    power: float = number(1.0, above=0)
    final: float = number(0.0, at_least=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        left = (1 - time / total).clamp(min=0)
        return self.final + (1 - self.final) * left**self.power
