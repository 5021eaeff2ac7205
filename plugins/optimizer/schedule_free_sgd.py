import torch
from torch import Tensor

from experiments import Optimizer, State, complement_range, ema, log_range, number, register


@register("schedule_free_sgd")
class ScheduleFreeSGD(Optimizer):
    """Gradient descent that needs no schedule, evaluated at an average (Defazio et al., 2024).

    The parameters that are trained are y = (1 − β) z + β x, those that are evaluated x:
    z ← z − lr (g + λ y); x ← (1 − c) x + c z, where c = γ² / Σ γ² and γ is the largest lr so far.

    β takes the place of momentum: 0 is gradient descent with its average aside, and 1 would take
    gradients at the average itself. lr is ten to fifty times that of gradient descent. Use
    `schedule.warmup` and no decay of lr, as in schedule_free_adamw. λ acts at y, as in the authors'
    code.
    """

    lr: float = number(1.0, at_least=0, space=log_range(0.1, 10))
    beta: float = number(0.9, above=0, below=1, space=complement_range(0.5, 0.99))
    weight_decay: float = number(0.0, at_least=0, space=log_range(1e-6, 1e-2))

    def init(self, param: Tensor) -> State:
        scalars = {name: param.new_zeros(()) for name in ("largest", "total")}
        return {"z": param.clone(), **scalars}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        largest = torch.maximum(state["largest"], torch.as_tensor(self.lr, dtype=grad.dtype))
        total = state["total"] + largest.square()
        c = largest.square() / total.clamp(min=torch.finfo(grad.dtype).tiny)
        z = state["z"] - self.lr * (grad + self.weight_decay * param)
        x = self.evaluated(param, state).lerp(z, c)
        y = ema(z, x, 1 - self.beta)
        return param - y, {"z": z, "largest": largest, "total": total}

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        return param + (1 / self.beta - 1) * (param - state["z"])
