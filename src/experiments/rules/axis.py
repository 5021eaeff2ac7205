"""Whether tensors have a dimension of lanes before their own: the one place that knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap


@dataclass(frozen=True, slots=True)
class Axis:
    """The dimension of `count` lanes, which tensors of one run alone do not have."""

    count: int = 1

    @classmethod
    def of(cls, tensor: Tensor, *, own: int) -> "Axis":
        """Return the axis of a tensor that has so many dimensions of its own."""
        return cls(tensor.shape[0] if tensor.dim() > own else 1)

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Put one tensor a lane together; that of one run stays what it is."""
        return tensors[0] if self.count == 1 else torch.stack(list(tensors))

    def rows(self, tensor: Tensor) -> Tensor:
        """View a tensor with the lanes as its rows, one row where there is one run."""
        return tensor[None] if self.count == 1 else tensor

    def of_rows(self, rows: Tensor) -> Tensor:
        """View rows as a tensor of lanes, the only row as that of one run."""
        return rows[0] if self.count == 1 else rows

    def taken(self, tensor: Tensor, places: Sequence[int]) -> Tensor:
        """Copy some of the lanes."""
        return Axis(len(places)).of_rows(self.rows(tensor)[list(places)])

    def map(
        self, function: Callable[..., Any], in_dims: Any = 0, **more: Any
    ) -> Callable[..., Any]:
        """Return the function of lanes that is this function in each; of one run it is the same."""
        return function if self.count == 1 else vmap(function, in_dims=in_dims, **more)

    def same(self, tensor: Tensor) -> Tensor:
        """View a tensor as that of every lane."""
        return tensor if self.count == 1 else tensor.expand(self.count, *tensor.shape)

    def total(self, losses: Tensor) -> Tensor:
        """Return the scalar whose gradient is that of each lane: lanes do not mix."""
        return losses if self.count == 1 else losses.sum()

    def values(self, tensor: Tensor) -> list[Any]:
        """Return one number a lane, also where it is the same for all."""
        values: list[Any] = tensor.reshape(-1).expand(self.count).tolist()
        return values
