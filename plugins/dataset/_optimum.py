"""The lowest training loss of an affine model, to 1e-12 or not at all."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

LARGEST = 3e7  # products for one Newton step's matrix; more would take longer than a second
STEPS = 50


def least_squares(inputs: Tensor, targets: Tensor) -> float:
    """Return the smallest mean square of the errors from inputs [N, F] and targets [N]."""
    design, wanted = _design(inputs), targets.double().unsqueeze(1)
    solution = torch.linalg.lstsq(design, wanted, driver="gelsd").solution
    return float((design @ solution - wanted).square().mean())


def cross_entropies(inputs: Tensor, targets: Tensor, classes: int) -> float | None:
    """Return the smallest mean cross entropy of softmax regression, by Newton's method.

    It is 0, and no weights reach it, where planes separate the classes; None where the problem
    is too large to be solved in passing, or Newton's method does not converge.
    """
    # Any basis of the design's columns has the same optimum, and this one a good condition.
    basis = torch.linalg.qr(_design(inputs)).Q * len(inputs) ** 0.5
    if len(inputs) * (basis.shape[1] * (classes - 1)) ** 2 > LARGEST:
        return None
    hot = one_hot(targets, classes).double()
    weights = basis.new_zeros(basis.shape[1], classes - 1)
    for _ in range(STEPS):
        logits = _logits(basis, weights)
        if bool((logits.argmax(1) == targets).all()):
            return 0.0
        step, decrement = _newton(basis, logits.softmax(1), hot)
        loss = cross_entropy(logits, targets)
        if decrement < 1e-12:
            return float(loss)
        size = 1.0
        while size > 1e-6 and (
            cross_entropy(_logits(basis, weights - size * step), targets)
            > loss - 0.25 * size * decrement
        ):
            size /= 2
        weights = weights - size * step
    return None


def _design(inputs: Tensor) -> Tensor:
    return torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1).double()


def _logits(basis: Tensor, weights: Tensor) -> Tensor:
    """Return a logit a class, the last of which is 0: shifting all of them changes nothing."""
    return torch.nn.functional.pad(basis @ weights, (0, 1))


def _newton(basis: Tensor, probs: Tensor, hot: Tensor) -> tuple[Tensor, float]:
    """Return Newton's step and its decrement, about twice the distance to the optimum."""
    grad = (basis.T @ (probs - hot)[:, :-1]) / len(basis)
    free = probs[:, :-1]
    spread = torch.diag_embed(free) - free.unsqueeze(2) * free.unsqueeze(1)
    hessian = torch.einsum("ni,nj,ncd->icjd", basis, basis, spread) / len(basis)
    flat = hessian.reshape(grad.numel(), grad.numel())
    step = torch.linalg.lstsq(flat, grad.flatten().unsqueeze(1)).solution.view_as(grad)
    return step, float((step * grad).sum())
