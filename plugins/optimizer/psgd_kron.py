import torch
from torch import Tensor

from experiments import Optimizer, Scope, State, ema, log_range, number, register
from plugins.optimizer import _modes, _spaces
from plugins.optimizer._modes import Modes


@register("psgd_kron")
class PSGDKron(Optimizer):
    """Momentum whitened by triangular factors P and Q that are learnt (Li, 2018; 2022).

    m ← μ m + (1 − μ) G, m̂ = m / (1 − μᵗ); A = P m̂ Qᵀ and, with V drawn from a normal
    distribution, B = P⁻ᵀ V Q⁻¹; P ← P − η triu(A Aᵀ − B Bᵀ) / ‖A Aᵀ + B Bᵀ‖ P, and Q likewise with
    Aᵀ A and Bᵀ B; u = PᵀP m̂ QᵀQ, whose root mean square is at most 1.1; Δ = lr (u + λ θ).

    Where P and Q settle, A and B are alike: PᵀP and QᵀQ are the inverse roots of what Shampoo
    averages, had without an eigendecomposition. They begin at 1, a tensor has one for each of its
    dimensions, and a vector or a dimension above `largest` the diagonal. Numbers by default are
    those of kron_torch and pytorch_optimizer. These decay no vectors, renew the factors at ever
    fewer steps, which here is at each, and bring them to the same size now and then, which changes
    no step. ‖·‖ is a lower bound, two steps of the power method. Memory: n² for each dimension of
    size n beside m.
    """

    scope = Scope.tensor
    needs = ("noise",)

    lr: float = number(1e-3, at_least=0, space=log_range(1e-4, 1e-2, "around the default"))
    momentum: float = number(0.9, at_least=0, below=1, space=_spaces.MOMENTUM)
    weight_decay: float = number(0.0, at_least=0, space=_spaces.WEIGHT_DECAY)
    factor_lr: float = number(0.1, above=0, below=1)
    largest: int = number(8192, at_least=1)

    def init(self, param: Tensor) -> State:
        ones = {d: param.new_ones(n) for d, n in enumerate(param.shape)}
        square = {d: param.dim() > 1 and 1 < len(one) <= self.largest for d, one in ones.items()}
        begun = {d: one.diag() if square[d] else one for d, one in ones.items()}
        return {"m": torch.zeros_like(param), **_modes.named("factor", begun)}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        m, factors = ema(state["m"], grad, self.momentum), _modes.kept(state, "factor")
        mean = m / (1 - self.momentum**t)
        a = _modes.times(mean, _transposed(factors))
        b = _divided(self.batch.noise(param), factors)
        factors = {d: _learnt(own, d, a, b, self.factor_lr) for d, own in factors.items()}
        white = _modes.times(_modes.times(mean, _transposed(factors)), factors)
        white = white * (1.1 / (white.square().mean().sqrt() + 1e-6)).clamp(max=1)
        step = self.lr * (white + self.weight_decay * param)
        return step, {"m": m, **_modes.named("factor", factors)}


def _transposed(factors: Modes) -> Modes:
    return {d: own.mT if own.dim() == 2 else own for d, own in factors.items()}


def _divided(tensor: Tensor, factors: Modes) -> Tensor:
    """Multiply each dimension with the inverse of its factor, transposed."""
    for mode, factor in factors.items():
        last = tensor.movedim(mode, -1)
        if factor.dim() == 2:
            rows = last.reshape(-1, last.shape[-1])
            solved = torch.linalg.solve_triangular(factor, rows, upper=True, left=False)
            tensor = solved.view(last.shape).movedim(-1, mode)
        else:
            tensor = (last / factor).movedim(-1, mode)
    return tensor


def _learnt(factor: Tensor, mode: int, a: Tensor, b: Tensor, lr: Tensor | float) -> Tensor:
    """Return a factor after a step towards A like B."""
    tiny = torch.finfo(factor.dtype).tiny
    if factor.dim() == 2:
        grams = _modes.gram(a, mode), _modes.gram(b, mode)
        size = _norm(grams[0] + grams[1]).clamp(min=tiny)
        return factor - lr * (grams[0] - grams[1]).triu() / size @ factor
    squares = [_modes.rows(one, mode).square().sum(1) for one in (a, b)]
    size = (squares[0] + squares[1]).amax().clamp(min=tiny)
    return factor - lr * (squares[0] - squares[1]) / size * factor


def _norm(matrix: Tensor) -> Tensor:
    """Return a lower bound of a symmetric matrix's largest eigenvalue, from its longest row."""
    tiny = torch.finfo(matrix.dtype).tiny
    top = matrix.abs().amax().clamp(min=tiny)  # without which fourth powers would leave float32
    matrix = matrix / top
    longest = matrix.square().sum(0).argmax()
    vector = matrix @ matrix.index_select(0, longest[None])[0]
    bound: Tensor = top * (matrix @ vector).norm() / vector.norm().clamp(min=tiny)
    return bound
