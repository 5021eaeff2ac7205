"""The sharpness of a loss: the largest eigenvalue of its Hessian.

Gradient descent at a rate η is stable below 2/η, and often trains along that edge (Cohen et al.,
2021).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

_TINY = 1e-30  # keeps a vector of zeros what it is


def largest(
    product: Callable[[Tensor], Tensor], start: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalue of a symmetric matrix, and its vector of length 1 (Lanczos).

    It is the largest within the span of `start` and its first images, so that `count` products
    give far more than as many steps of power iteration, which also would take a negative value
    for the largest. Shapes: vectors are [P], in lanes [K, P]; values 0-d and [K].
    """
    count = min(count, start.shape[-1])
    basis, rows = [_orthogonal(start, [])], []
    for _ in range(count):
        image = product(basis[-1])
        rows.append(torch.stack([(other * image).sum(-1) for other in basis], -1))
        basis.append(_orthogonal(image, basis))
    lower = torch.stack([pad(row, (0, count - row.shape[-1])) for row in rows], -2)
    finite = lower.isfinite().all(-1).all(-1)
    lower = torch.where(finite[..., None, None], lower, 0)  # one lane must not stop the others
    values, vectors = torch.linalg.eigh(lower)  # which reads no more than that of a matrix
    weights = vectors[..., -1].unbind(-1)
    parts = [weight[..., None] * own for weight, own in zip(weights, basis[:-1], strict=True)]
    vector = torch.stack(parts).sum(0)
    kept = finite & vector.any(-1)  # what is flat everywhere shows no direction
    value = torch.where(finite, values[..., -1], torch.nan)
    return value, torch.where(kept[..., None], vector, start)


def _orthogonal(vector: Tensor, basis: list[Tensor]) -> Tensor:
    """Return what of a vector is at right angles with others, with the length 1.

    It is taken twice, as next to nothing may be left, which rounding has turned.
    """
    for _ in range(2):
        for other in basis:
            vector = vector - (other * vector).sum(-1, keepdim=True) * other
        vector = vector / vector.norm(dim=-1, keepdim=True).clamp_min(_TINY)
    return vector
