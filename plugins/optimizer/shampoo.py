import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _modes


@register("shampoo")
class Shampoo(Optimizer):
    """Adagrad with a matrix for each side of a gradient (Gupta et al., 2018).

    L ← L + G Gᵀ; R ← R + Gᵀ G, which begin at ε 1; Δ = lr L^(−1/4) G R^(−1/4). A tensor of k
    dimensions has k such factors with roots −1/(2k), a vector one with −1/2. With `momentum` the
    average μ m + (1 − μ) G takes the place of G in the step; the paper's experiments have 0.9.

    As in the paper a dimension above `largest` keeps the diagonal of its factor alone. Roots cost
    an eigendecomposition for each dimension, n³. With `every` = k they are had anew at each of the
    first k steps and then at every k-th: early on, a root of few gradients amplifies what these had
    not, by up to ε^(−1/2). Other Shampoos average L and R, or borrow the length of another rule's
    step. ε is that of TensorFlow's. Memory: 2 n² for each dimension of size n.
    """

    scope = Scope.tensor
    needs = ("t",)
    in_programs = False  # steps with new roots and without differ

    lr: float = number(0.1, at_least=0, space=log_range(1e-3, 1, "around the default"))
    momentum: float = number(0.0, at_least=0, below=1)
    eps: float = number(1e-4, above=0, space=log_range(1e-8, 1e-2, "around the default"))
    every: int = number(10, at_least=1)
    largest: int = number(1200, at_least=1)

    def init(self, param: Tensor) -> State:
        ones = {d: param.new_ones(n) for d, n in enumerate(param.shape)}
        begun = {
            d: self.eps * (one.diag() if len(one) <= self.largest else one)
            for d, one in ones.items()
        }
        roots = {d: torch.zeros_like(factor) for d, factor in begun.items()}
        m = torch.zeros_like(param)
        return {"m": m, **_modes.named("factor", begun), **_modes.named("root", roots)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        factors, roots = _modes.kept(state, "factor"), _modes.kept(state, "root")
        factors = {d: own + _square(grad, d, like=own) for d, own in factors.items()}
        if self.batch.t < self.every or self.batch.t % self.every == 0:
            power = -1 / (2 * len(factors))
            roots = {d: _power(factor, power, self.eps) for d, factor in factors.items()}
        m = ema(state["m"], grad, self.momentum)
        after = {"m": m, **_modes.named("factor", factors), **_modes.named("root", roots)}
        return self.lr * _modes.times(m, roots), after


def _square(grad: Tensor, mode: int, like: Tensor) -> Tensor:
    """Return the products of a dimension's slices, with themselves alone for a diagonal."""
    if like.dim() == 2:
        return _modes.gram(grad, mode)
    return _modes.rows(grad, mode).square().sum(1)


def _power(factor: Tensor, power: float, least: Tensor | float) -> Tensor:
    """Return a power of a symmetric matrix, or of a diagonal, whose eigenvalues are above ε."""
    least = torch.as_tensor(least, dtype=factor.dtype)
    if factor.dim() == 1:
        return torch.maximum(factor, least) ** power
    values, vectors = _modes.eigh(factor)
    root: Tensor = (vectors * torch.maximum(values, least) ** power) @ vectors.mT
    return root
