import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register


@register("adafactor")
class Adafactor(Optimizer):
    """Adam without m, whose v is the product of a row and a column (Shazeer & Stern, 2018).

    With β = 1 − t^τ: R and C are averages by β of the means of g² + ε₁ along rows and columns, and
    V = R C / mean(R), for vectors V ← β V + (1 − β) (g² + ε₁); u = g / √V;
    Δ = max(ε₂, rms(θ)) min(lr, 1/√t) u / max(1, rms(u) / d) + lr λ θ.

    Steps are relative to the size of the parameter. The paper has no lr: its rate is min(0.01,
    1/√t), which is lr = 0.01 here. optax leaves 1/√t to a schedule, factors parameters of 128 and
    more alone, and does not multiply λ by lr. torch has no ε₁ in g², and with `floor=true` √V is
    at least ε₁ as there, where ε₁ is the dtype's epsilon, 1.19e-7 in float32. The weights of a
    convolution are a matrix [outputs, rest]; torch takes the last two dimensions for it, optax the
    two largest.
    """

    scope = Scope.tensor

    lr: float = number(1e-2, at_least=0, space=log_range(1e-3, 1))
    tau: float = number(-0.8, below=0)
    eps1: float = number(1e-30, above=0)
    eps2: float = number(1e-3, at_least=0)
    clip: float = number(1.0, above=0)  # d
    floor: bool = False
    weight_decay: float = number(0.0, at_least=0, space=log_range(1e-4, 1e-2))

    def init(self, param: Tensor) -> State:
        if param.dim() < 2:
            return {"v": torch.zeros_like(param)}
        matrix = torch.zeros_like(param.flatten(1))
        return {"rows": matrix[:, :1].clone(), "columns": matrix[:1].clone()}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        eps1, eps2 = (torch.as_tensor(e, dtype=grad.dtype) for e in (self.eps1, self.eps2))
        square = grad.square() if self.floor else grad.square() + eps1
        root, after = _root(square, state, 1 - t**self.tau, eps1)
        u = grad / torch.maximum(root, eps1).view_as(grad)
        u = u / (_rms(u) / self.clip).clamp(min=1)
        rate = torch.maximum(_rms(param), eps2) * torch.minimum(torch.as_tensor(self.lr), t**-0.5)
        return rate * u + self.lr * self.weight_decay * param, after


def _root(square: Tensor, state: State, beta: Tensor, least: Tensor) -> tuple[Tensor, State]:
    """Return the root of the second moment, of vectors as it is, and the next memory."""
    if square.dim() < 2:
        v = ema(state["v"], square, beta)
        return v.sqrt(), {"v": v}
    matrix = square.flatten(1)
    rows = ema(state["rows"], matrix.mean(1, keepdim=True), beta)
    columns = ema(state["columns"], matrix.mean(0, keepdim=True), beta)
    shares = rows / torch.maximum(rows.mean(), least)  # first, as R C may be too small a number
    return (shares * columns).sqrt(), {"rows": rows, "columns": columns}


def _rms(tensor: Tensor) -> Tensor:
    """Return the root of the mean square."""
    return tensor.square().mean().sqrt()
