from torch import Tensor

from experiments import State, Transform, log_range, number, register


@register("clip_norm")
class ClipNorm(Transform):
    """Shorten the whole gradient to a norm: g ← g min(1, c / ‖g‖) (Pascanu et al., 2013)."""

    max_norm: float = number(1.0, above=0, space=log_range(0.1, 10))

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        # torch's clip_grad_norm_ adds the same 1e-6, against a norm of zero.
        return grad * (self.max_norm / (grad.norm() + 1e-6)).clamp(max=1).to(grad.dtype), state
