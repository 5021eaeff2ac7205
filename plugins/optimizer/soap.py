import math

import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _modes, _spaces
from plugins.optimizer._modes import Modes


@register("soap")
class SOAP(Optimizer):
    """Adam in the eigenbasis that Shampoo would have (Vyas et al., 2024).

    L ← β₂ L + (1 − β₂) G Gᵀ; R ← β₂ R + (1 − β₂) Gᵀ G, with eigenvectors P of L and Q of R;
    m ← β₁ m + (1 − β₁) G; v ← β₂ v + (1 − β₂) (Pᵀ G Q)²;
    Δ = lr P [√(1 − β₂ᵗ)/(1 − β₁ᵗ) Pᵀ m Q / (√v + ε)] Qᵀ. Every k-th step P becomes the Q of a QR
    decomposition of L P, its columns sorted by eigenvalue, and so does Q.

    As in the authors' code, the first step only sets P and Q, and t counts from the second on; a
    step uses the basis from before it; v is sorted as the basis but not turned with it; ε joins √v
    before its bias is corrected; decay acts on the parameters after the step. Numbers by default
    are the authors'. A tensor of more dimensions has a basis for each, a vector or a dimension
    above `largest` none, which leaves Adam.

    Where gradients have no rank, eigenvectors are what rounding makes of them, in which libraries
    differ from each other. Here those whose part is below √(precision of the dtype) of the largest
    are near the axes at first, and later stay where they were: steps are the same on any machine.
    Memory: 2 n² for each dimension of size n beside Adam's; a new basis takes two QR of n³.
    """

    scope = Scope.tensor
    needs = ("t",)
    in_programs = False  # steps with a new basis and without differ

    lr: float = number(3e-3, at_least=0, space=log_range(3e-4, 3e-2, "around the authors'"))
    beta1: float = number(0.95, at_least=0, below=1, space=_spaces.BETA1)
    beta2: float = number(0.95, at_least=0, below=1, space=_spaces.BETA2)
    eps: float = number(1e-8, above=0, space=_spaces.EPS)
    weight_decay: float = number(0.01, at_least=0, space=_spaces.WEIGHT_DECAY)
    every: int = number(10, at_least=1)
    largest: int = number(10_000, at_least=1)

    def init(self, param: Tensor) -> State:
        sizes = dict(enumerate(param.shape)) if param.dim() > 1 else {}
        sizes = {d: n for d, n in sizes.items() if 1 < n <= self.largest}
        squares = {d: param.new_zeros(n, n) for d, n in sizes.items()}
        both = {**_modes.named("factor", squares), **_modes.named("basis", squares)}
        return {"m": torch.zeros_like(param), "v": torch.zeros_like(param), **both}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m, v, step = state["m"], state["v"], torch.zeros_like(param)
        factors, bases = _modes.kept(state, "factor"), _modes.kept(state, "basis")
        factors = {d: ema(own, _modes.gram(grad, d), self.beta2) for d, own in factors.items()}
        if self.batch.t == 1:
            bases = {d: _eigenvectors(factor) for d, factor in factors.items()}
        else:
            m = ema(m, grad, self.beta1)
            v = ema(v, _modes.times(grad, bases).square(), self.beta2)
            lr = self.lr * (1 - self.beta2 ** (t - 1)).sqrt() / (1 - self.beta1 ** (t - 1))
            back = {d: basis.mT for d, basis in bases.items()}
            step = lr * _modes.times(_modes.times(m, bases) / (v.sqrt() + self.eps), back)
            step = step + self.lr * self.weight_decay * (param - step)
            if (self.batch.t - 1) % self.every == 0:
                v, bases = _refreshed(v, factors, bases)
        after = {"m": m, "v": v, **_modes.named("factor", factors)}
        return step, after | _modes.named("basis", bases)


def _eigenvectors(factor: Tensor) -> Tensor:
    """Return the eigenvectors as columns, that of the largest eigenvalue first.

    Those without an eigenvalue are taken a second time, within the space that they span, of a
    matrix whose eigenvalues differ: those of the first matrix are any that span it.
    """
    values, vectors = _modes.eigh(factor)
    size = len(values)
    none = values <= _least(values)
    rest = (vectors * none) @ vectors.mT
    falling = -torch.arange(1, size + 1, dtype=values.dtype, device=values.device) / size
    factor = factor + values[-1] * (rest * falling) @ rest
    vectors = _modes.eigh(factor)[1]
    found: Tensor = vectors.flip(-1).contiguous()  # as it is when resumed
    return found


def _least(values: Tensor) -> Tensor:
    """Return the size up to which a value is no more than what rounding has left of the largest."""
    return math.sqrt(torch.finfo(values.dtype).eps) * values.amax()


def _refreshed(v: Tensor, factors: Modes, bases: Modes) -> tuple[Tensor, Modes]:
    """Take a step of the power method, and sort what belongs to the columns."""
    after = {}
    for mode, basis in bases.items():
        product = factors[mode] @ basis
        order = (basis * product).sum(0).argsort(descending=True)
        v = v.index_select(mode, order)
        after[mode] = _orthogonal(product.index_select(1, order), basis.index_select(1, order))
    return v, after


def _orthogonal(columns: Tensor, before: Tensor) -> Tensor:
    """Make columns orthogonal, one after the other; where their rank ends, those from before.

    What a QR decomposition has there is what rounding makes of it.
    """
    q, r = torch.linalg.qr(columns)
    sizes = r.diagonal().abs()
    none = sizes <= _least(sizes)
    some = q * ~none
    rest = before - some @ (some.mT @ before)
    found: Tensor = torch.linalg.qr(some + rest * none)[0].contiguous()  # as it is when resumed
    return found
