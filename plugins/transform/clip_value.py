from torch import Tensor

from experiments import State, Transform, number, register


@register("clip_value")
class ClipValue(Transform):
    """Limit every element of the gradient to [-limit, limit]."""

    limit: float = number(1.0, above=0)

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        # Scaled first, so that the limit enters by arithmetic and may be a tensor.
        return (grad / self.limit).clamp(-1, 1) * self.limit, state
