"""The trust ratio, by which a step is brought to the size of the parameter that it moves."""

import torch
from torch import Tensor


def ratio(param: Tensor, norm: Tensor, trust: float = 1.0) -> Tensor:
    """Return trust ‖param‖ / norm, and 1 where either is 0, such that nothing is held at 0."""
    own = param.norm()
    return torch.where((own > 0) & (norm > 0), trust * own / norm, torch.ones_like(own))
