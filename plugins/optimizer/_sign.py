"""The sign of numbers, for rules that step by it."""

from torch import Tensor


def sign(tensor: Tensor) -> Tensor:
    """Return the signs, where NaN stays NaN: torch's are 0, and a lost number would stand still."""
    return tensor.sign() + 0 * tensor
