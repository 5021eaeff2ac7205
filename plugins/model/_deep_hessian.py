"""The Hessian of DeepOBS's `quadratic_deep`."""

import numpy as np
import torch
from torch import Tensor

from plugins.model import _rotation

DIMENSION = 100


def hessian() -> Tensor:
    """Return Q [100, 100] in float64: 90 eigenvalues from 0 to 1 and 10 from 30 to 60, rotated."""
    draw = np.random.RandomState(42)
    eigenvalues = np.concatenate([draw.uniform(0, 1, 90), draw.uniform(30, 60, 10)])
    rotation = _rotation.drawn(DIMENSION, draw)
    return rotation.T @ torch.diag(torch.from_numpy(eigenvalues)) @ rotation
