"""A matrix for each dimension of a parameter, as Kronecker-factored rules have them."""

import torch
from torch import Tensor

from experiments import State

Modes = dict[int, Tensor]


def named(name: str, modes: Modes) -> State:
    """Name the matrices as they are kept in a rule's memory."""
    return {f"{name}{mode}": matrix for mode, matrix in modes.items()}


def kept(state: State, name: str) -> Modes:
    """Return the matrices that a memory has by that name."""
    return {int(k.removeprefix(name)): own for k, own in state.items() if k.startswith(name)}


def rows(tensor: Tensor, mode: int) -> Tensor:
    """Return the slices of one dimension as the rows of a matrix."""
    return tensor.movedim(mode, 0).flatten(1) if tensor.dim() > 1 else tensor[:, None]


def gram(tensor: Tensor, mode: int) -> Tensor:
    """Return the products of the slices of one dimension with each other: G Gᵀ for the first."""
    own = rows(tensor, mode)
    return own @ own.mT


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues and vectors of a symmetric matrix, NaN of one that is not finite."""
    finite = matrix.isfinite().all()
    one = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh(torch.where(finite, matrix, one))
    return torch.where(finite, values, torch.nan), vectors


def times(tensor: Tensor, modes: Modes) -> Tensor:
    """Multiply each dimension with its matrix, or a diagonal: Aᵀ G B of a matrix G."""
    for mode, matrix in modes.items():
        last = tensor.movedim(mode, -1)
        tensor = (last @ matrix if matrix.dim() == 2 else last * matrix).movedim(-1, mode)
    return tensor
