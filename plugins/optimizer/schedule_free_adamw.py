import torch
from torch import Tensor

from experiments import Optimizer, State, ema, number, register
from plugins.optimizer import _spaces


@register("schedule_free_adamw")
class ScheduleFreeAdamW(Optimizer):
    """AdamW that needs no schedule, as it is evaluated at an average (Defazio et al., 2024).

    The parameters that are trained are y = (1 − β₁) z + β₁ x, those that are evaluated x:
    v ← β₂ v + (1 − β₂) g²; z ← z − lr (g / (√v̂ + ε) + λ y), where v̂ = v / (1 − β₂ᵗ);
    x ← (1 − c) x + c z, where c = γ² / Σ γ² and γ is the largest lr so far.

    β₁ takes the place of momentum. Use `schedule.warmup` and no decay: steps of a small lr in the
    warm-up count little in x. x is had from y and z, so that what another transform adds to the
    step moves x as well, and that β₁ takes no schedule.
    """

    lr: float = number(2.5e-3, at_least=0, space=_spaces.ADAPTIVE_LR)
    beta1: float = number(0.9, above=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.999, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, at_least=0, space=_spaces.EPS)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)

    def init(self, param: Tensor) -> State:
        scalars = {name: param.new_zeros(()) for name in ("largest", "total")}
        return {"z": param.clone(), "v": torch.zeros_like(param), **scalars}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        v = ema(state["v"], grad.square(), self.beta2)
        largest = torch.maximum(state["largest"], torch.as_tensor(self.lr, dtype=grad.dtype))
        total = state["total"] + largest.square()
        c = largest.square() / total.clamp(min=torch.finfo(grad.dtype).tiny)
        root = (v / (1 - self.beta2**t)).sqrt()
        z = state["z"] - self.lr * (grad / (root + self.eps) + self.weight_decay * param)
        x = self.evaluated(param, state).lerp(z, c)
        y = ema(z, x, 1 - self.beta1)
        return param - y, {"z": z, "v": v, "largest": largest, "total": total}

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        return param + (1 / self.beta1 - 1) * (param - state["z"])
