import torch
from torch import Tensor

from experiments import Optimizer, State, ema, log_range, number, register
from plugins.optimizer import _spaces


@register("momo")
class MoMo(Optimizer):
    """Momentum by Polyak's step for a model of averaged losses (Schaipp et al., 2024).

    m ← β m + (1 − β) g; f̄ ← β f̄ + (1 − β) f; γ ← β γ + (1 − β) ⟨g, θ⟩, which begin at the first
    g, f and ⟨g, θ⟩; τ = min(lr, ((1 + lr λ) (f̄ − f* − γ) + ⟨m, θ⟩)₊ / ‖m‖²);
    θ ← (θ − τ m) / (1 + lr λ).

    f is the loss of the batch, and f* the least that it can be. Numbers by default are the
    authors'; neither their correction of bias nor their estimate of f* is here. optax divides by
    1 + lr λ before the step instead of after it, though τ is that of the paper: with decay the two
    differ. Memory: m.
    """

    needs = ("loss",)

    lr: float = number(1.0, at_least=0, space=log_range(1e-2, 100, "around the authors' 1"))
    beta: float = number(0.9, at_least=0, below=1, space=_spaces.MOMENTUM)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    least: float = number(0.0)

    def init(self, param: Tensor) -> State:
        averages = {name: param.new_zeros(()) for name in ("f", "gamma")}
        return {"m": torch.zeros_like(param), **averages}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        beta = self.beta * (t > 1)
        m = ema(state["m"], grad, beta)
        f = ema(state["f"], self.batch.value.to(param.dtype), beta)
        gamma = ema(state["gamma"], grad.dot(param), beta)
        shrinking = 1 + self.lr * self.weight_decay
        gap = shrinking * (f - self.least - gamma) + m.dot(param)
        square = m.square().sum().clamp(min=torch.finfo(m.dtype).tiny)
        rate = (gap.clamp(min=0) / square).minimum(torch.as_tensor(self.lr)).to(m.dtype)
        step = (rate * m + self.lr * self.weight_decay * param) / shrinking
        return step, {"m": m, "f": f, "gamma": gamma}
