from torch import Tensor

from experiments import State, Transform, log_range, number, register


@register("sam")
class SAM(Transform):
    """Sharpness-aware minimization: the gradient of a worse place near by (Foret et al., 2021).

    g ← ∇f(θ + ρ g / ‖g‖), where the norm is that of the whole gradient. A step costs two gradients.
    """

    needs = ("gradient",)

    rho: float = number(0.05, at_least=0, space=log_range(0.01, 0.5, "Foret et al., 2021"))

    def on_batch(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        # The authors' code adds the same 1e-12, against a norm of zero.
        return self.batch.gradient(param + self.rho / (grad.norm() + 1e-12) * grad), state
