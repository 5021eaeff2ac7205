"""What a step changes."""

from collections.abc import Iterator

from torch import Tensor


class Change:
    """What the loop subtracts from the parameters: a vector [P], in lanes [K, P], at once."""

    def __init__(self, vector: Tensor, change: Tensor) -> None:
        self._vector, self._change = vector, change

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each part of the parameters with what is subtracted from it."""
        yield self._vector, self._change

    def norm(self) -> Tensor:
        """Return the length of the whole, 0-d or in lanes [K], after the last part."""
        length: Tensor = self._change.norm(dim=-1)
        return length
