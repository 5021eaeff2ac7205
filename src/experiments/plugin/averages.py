"""Running averages, as the update rules use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def ema(average: Tensor, value: Tensor, beta: Tensor | float) -> Tensor:
    """Return the exponential moving average β average + (1 − β) value.

    One pass over memory instead of the three of the formula. A number of a rule is a float in its
    class and a 0-d tensor in a run, where 1 − β is rounded to the average's dtype as a whole.
    """
    share = 1 - beta
    return average.lerp(value, share if isinstance(share, float) else share.to(average.dtype))
