from torch import Tensor

from experiments import Schedule, number, register


@register("step")
class Step(Schedule):
    """Multiplied by gamma after every `every` units: γ^⌊time / every⌋."""

    every: float = number(10.0, above=0)
    gamma: float = number(0.1, above=0)

    def factor(self, time: Tensor, total: Tensor) -> Tensor:
        # A ratio such as 0.3 / 0.1 comes out just below its whole number.
        return self.gamma ** (time / self.every + 1e-9).floor()
