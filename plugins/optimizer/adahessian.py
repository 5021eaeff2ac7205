import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("adahessian")
class AdaHessian(Optimizer):
    """Adam with the Hessian's diagonal in the place of the gradient's square (Yao et al., 2021).

    h = z ⊙ (H z) with signs z drawn at random (Hutchinson); m ← β₁ m + (1 − β₁) g;
    v ← β₂ v + (1 − β₂) h²; Δ = lr (m̂ / ((√v̂)ᵏ + ε) + λ θ), with biases corrected as in Adam and
    k = `power`.

    Numbers by default are the authors'. Their average of |h| over each filter of a convolution is
    not here, nor in pytorch_optimizer, whose steps are these. A product with H costs two gradients,
    so that a step takes about three times that of Adam.
    """

    needs = ("hvp", "noise")

    lr: float = number(0.15, at_least=0, space=log_range(1e-3, 1, "around the authors'"))
    beta1: float = number(0.9, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-4, above=0)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    power: float = number(1.0, at_least=0, at_most=1)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        z = self.batch.noise(param).sign()
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], (z * self.batch.hvp(param, z)).square(), self.beta2)
        curvature = (v / (1 - self.beta2**t)).sqrt() ** self.power
        adam = m / (1 - self.beta1**t) / (curvature + self.eps)
        return self.lr * (adam + self.weight_decay * param), {"m": m, "v": v}
