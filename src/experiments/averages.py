"""Running averages, as the update rules use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ema(average: Tensor, value: Tensor, beta: Tensor) -> Tensor:
    """Return the exponential moving average β average + (1 − β) value.

    One pass over memory instead of the three of the formula; 1 − β is rounded to the average's
    dtype as a whole, which keeps its digits.
    """
    return average.lerp(value, (1 - beta).to(average.dtype))
