"""Normal numbers, and what gives them a covariance of a chosen condition."""

import math

import torch
from torch import Tensor


def normal(draw: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal numbers in float64."""
    return torch.randn(*shape, generator=draw, dtype=torch.double)


def mixing(draw: torch.Generator, features: int, condition: float) -> Tensor:
    """Return what inputs [N, features] of unit covariance are multiplied by.

    Theirs then has eigenvalues from 1 down to 1 / `condition`, in random directions.
    """
    eigenvalues = torch.logspace(0, -math.log10(condition), features, dtype=torch.double)
    rotation: Tensor = torch.linalg.qr(normal(draw, features, features)).Q
    return eigenvalues.sqrt().unsqueeze(1) * rotation
