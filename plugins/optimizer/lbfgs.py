import torch
from torch import Tensor

from experiments import Optimizer, State, log_range, number, register
from plugins.optimizer import _wolfe


@register("lbfgs")
class LBFGS(Optimizer):
    """Newton's method with a Hessian of the last steps (Liu & Nocedal, 1989), and a line search.

    d = −H g, where H is had from the last steps s and changes of the gradient y by two loops, and
    begins at sᵀy / yᵀy; Δ = −α d, where α satisfies the strong Wolfe conditions. α = lr is tried
    first, or at the first step lr min(1, 1 / ‖g‖₁).

    Each step must see all of the train split by `batch_size` or `accumulate`, and the same loss as
    the last: without dropout. A step costs a gradient for each α that is tried, mostly one. The
    search looks at the loss itself, so that transforms that change the gradient do not fit.
    """

    needs = ("loss", "gradient")
    in_lanes = in_programs = False  # it branches on values
    full_batch = True

    lr: float = number(1.0, above=0, space=log_range(0.1, 1, "the line search finds the rest"))
    history: int = number(10, at_least=1, space=log_range(3, 20, "Nocedal & Wright, 2006"))

    def init(self, param: Tensor) -> State:
        past = {name: param.new_zeros(self.history, param.numel()) for name in ("s", "y")}
        return past | {"param": param.clone(), "grad": torch.zeros_like(param)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        s, y = state["s"], state["y"]
        step, change = param - state["param"], grad - state["grad"]
        # What curves the wrong way, or not at all but for rounding, would make H indefinite.
        if step.dot(change) > 1e-10 * change.dot(change):
            s, y = torch.cat([s[1:], step[None]]), torch.cat([y[1:], change[None]])
        d = -_newton(grad, s, y)

        def look(length: float) -> _wolfe.Point:
            loss, gradient = self.batch.loss_and_gradient(param + length * d)
            return _wolfe.Point(length, loss.item(), gradient.dot(d).item())

        start = _wolfe.Point(0, self.batch.value.item(), grad.dot(d).item())
        first = 1 if s.any() else 1 / max(1, grad.abs().sum().item())
        found = _wolfe.search(look, start, float(self.lr) * first)
        return -found.length * d, {"s": s, "y": y, "param": param, "grad": grad}


def _newton(grad: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """Return H g by two loops (Nocedal & Wright, 2006, algorithm 7.4)."""
    pairs = [(a, b, a.dot(b)) for a, b in zip(s, y, strict=True) if a.any()]
    shares = []
    for step, change, curvature in reversed(pairs):
        shares.append(step.dot(grad) / curvature)
        grad = grad - shares[-1] * change
    if pairs:
        _, change, curvature = pairs[-1]
        grad = curvature / change.dot(change) * grad
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        grad = grad + (share - change.dot(grad) / curvature) * step
    return grad
