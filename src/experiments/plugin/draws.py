"""Random numbers that the seed, the epoch and the item decide, whatever batch it comes in."""

import math

import torch
from torch import Tensor

_LOW = 2**32 - 1


class Draws:
    """Draws for the items of a batch, which are the same on any device and in any order.

    `key` is the integer of a stream (0-d), `index` the items' places [B] in the data set. Each
    call goes on in the stream.
    """

    def __init__(self, key: Tensor, index: Tensor) -> None:
        low = _mixed((key & _LOW) ^ _mixed(index & _LOW))
        self._items = _mixed(low ^ (key >> 32 & _LOW))
        self._next = 0

    def uniform(self, *shape: int) -> Tensor:
        """Return float32 numbers [B, *shape] from 0 to 1, 1 excluded."""
        count = math.prod(shape)
        places = torch.arange(self._next, self._next + count, device=self._items.device)
        self._next += count
        words = _mixed(self._items[:, None] ^ _mixed(places))
        # The 24 bits that a float32 holds exactly.
        numbers: Tensor = (words >> 8).float() * 2.0**-24
        return numbers.view(-1, *shape)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return numbers [B, *shape] of mean 0 and deviation 1 (Box & Muller, 1958)."""
        count = math.prod(shape)
        half = -(count // -2)
        radius = (-2 * (1 - self.uniform(half).to(dtype)).log()).sqrt()
        angle = 2 * math.pi * self.uniform(half).to(dtype)
        pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
        return pairs[:, :count].reshape(-1, *shape)

    def integers(self, below: int, *shape: int) -> Tensor:
        """Return integers [B, *shape] from 0 to `below` - 1."""
        return (self.uniform(*shape) * below).long()


def _mixed(x: Tensor) -> Tensor:
    """Scramble 32-bit integers one to one (Wellons' hash prospector: 16, 15, 15).

    They are held in 64 bits, where the products do not overflow.
    """
    x = (x ^ (x >> 16)) * 0x21F0AAAD & _LOW
    x = (x ^ (x >> 15)) * 0x735A2D97 & _LOW
    mixed: Tensor = x ^ (x >> 15)
    return mixed
