"""A rule that comes with an installed package."""

from torch import Tensor

from experiments import Optimizer, State, number, register


@register("packaged")
class Packaged(Optimizer):
    """Half a step of gradient descent."""

    lr: float = number(0.1, at_least=0)

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        """Return half of what gradient descent returns."""
        return self.lr / 2 * grad, state
