import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register


@register("adamw")
class AdamW(Optimizer):
    """Adam with decoupled weight decay: Δ = lr (m̂ / (√v̂ + ε) + λ θ) (Loshchilov & Hutter, 2019).

    The decay is multiplied by lr, as in torch and optax (the paper multiplies it by the schedule
    alone), and reaches every parameter; to spare some, take `adam` with the transform
    `weight_decay`, its `decoupled` and its `skip`.
    """

    lr: float = number(1e-3, at_least=0)
    beta1: float = number(0.9, at_least=0, below=1)
    beta2: float = number(0.999, at_least=0, below=1)
    eps: float = number(1e-8, at_least=0)
    weight_decay: float = number(1e-2, at_least=0)

    def init(self, param: Tensor) -> State:
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m = ema(state["m"], grad, self.beta1)
        v = ema(state["v"], grad.square(), self.beta2)
        # The bias corrections move to the numbers, as in adam.
        root = (1 - self.beta2**t).sqrt()
        lr = self.lr * root / (1 - self.beta1**t)
        adam = m.div(v.sqrt().add_((root * self.eps).to(v.dtype))).mul_(lr.to(m.dtype))
        step = adam.add_(self.lr * self.weight_decay * param)
        return step, {"m": m, "v": v}
