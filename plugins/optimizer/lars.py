import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, log_range, number, register
from plugins.optimizer import _spaces, _trust


@register("lars")
class LARS(Optimizer):
    """Momentum whose gradients are brought to the size of each parameter (You et al., 2017).

    v ← μ v + lr ℓ (g + λ θ); Δ = v, with ℓ = τ ‖θ‖ / (‖g‖ + λ ‖θ‖) for each parameter, and 1 if
    either norm is 0. It is made for large batches; the lr is within the sum, so that a change of it
    acts on later gradients alone.

    optax has ‖g + λ θ‖ in ℓ, here with `joint=true`. pytorch_optimizer scales and decays matrices
    alone, and has lr outside the sum. Biases and norms are often spared: `route` gives them to
    momentum.
    """

    scope = Scope.tensor

    lr: float = number(1.0, at_least=0, space=log_range(1e-2, 1e2))
    momentum: float = number(0.9, at_least=0, below=1, space=_spaces.MOMENTUM)
    trust: float = number(1e-3, above=0)  # τ
    weight_decay: float = number(0.0, at_least=0, space=log_range(1e-6, 1e-2))
    joint: bool = False

    def init(self, param: Tensor) -> State:
        return {"v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        decayed = grad + self.weight_decay * param
        apart = grad.norm() + self.weight_decay * param.norm()
        ratio = _trust.ratio(param, decayed.norm() if self.joint else apart, self.trust)
        v = self.momentum * state["v"] + self.lr * ratio * decayed
        return v, {"v": v}
