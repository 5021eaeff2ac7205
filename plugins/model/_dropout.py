import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Leaves out numbers at random while training, and scales the rest (Srivastava et al., 2014).

    The rate is a buffer and enters by arithmetic, so that it may differ between lanes.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate))

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        kept = torch.rand_like(inputs) >= self.rate
        return inputs * kept / (1 - self.rate)


def dropout(rate: float) -> nn.Module:
    """Return the layer, or one that does nothing for a rate of 0; raise ValueError for no rate."""
    if not 0 <= rate < 1:
        raise ValueError(f"a dropout rate is at least 0 and below 1, not {rate}")
    return Dropout(rate) if rate else nn.Identity()
