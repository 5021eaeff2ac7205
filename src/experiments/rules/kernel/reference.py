"""A step that is taken by operations, to see what they are, or whether a kernel gives the same."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from experiments.rules.chain import Memory, Numbers, Stepped

_SMALLER = 0.3  # times the numbers of the step, in a trial of a later one
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


class Reference:
    """What a rule's own operations make of a gradient, a memory and numbers."""

    def __init__(
        self,
        take: Callable[..., Stepped],
        grad: Tensor,
        param: Tensor,
        memory: Memory,
        numbers: Numbers,
        time: Tensor,
    ) -> None:
        self._take, self._memory, self._numbers, self._time = take, memory, numbers, time
        vectors, scalars = by_dimension(memory)
        self.vectors = [grad.clone(), param.clone(), *vectors]
        self.scalars = [*tensors_of(numbers), time, *scalars]

    def results(self) -> list[Tensor]:
        """Return the change, and the memory after it."""
        grad, param, *_ = self.vectors
        change, after = self._take(self._numbers, grad, param, self._memory, {}, None, self._time)
        return [change, *_in_order(after)]

    def moved(self, later: float) -> "Reference":
        """Return the reference of so many steps later, with smaller numbers and another memory."""
        grad, param, *_ = self.vectors
        numbers = {o: {n: t * _SMALLER for n, t in own.items()} for o, own in self._numbers.items()}
        memory = {
            owner: {n: t + (grad if t.dim() else grad[0]).abs().to(t.dtype) for n, t in own.items()}
            for owner, own in self._memory.items()
        }
        return Reference(self._take, grad, param, memory, numbers, self._time + later)

    def is_given(self, by: Callable[..., Iterable[tuple[Tensor, Tensor]]]) -> bool:
        """Say whether the blocks that something else gives are what the operations give."""
        memory = duplicate(self._memory)
        wanted = self.results()
        blocks = by(memory, self._numbers, self._time, self.vectors[0])
        change = torch.cat([part.clone() for _, part in blocks])
        return all(map(_is_close, [change, *_in_order(memory)], wanted))


def tensors_of(nest: Memory | Numbers) -> list[Tensor]:
    """Return the tensors of a memory, or of numbers, in the order of their names."""
    return [nest[owner][name] for owner in sorted(nest) for name in sorted(nest[owner])]


def by_dimension(memory: Memory) -> tuple[list[Tensor], list[Tensor]]:
    """Return the vectors of a memory, and its 0-d tensors, each in the order of their names."""
    tensors = tensors_of(memory)
    return [t for t in tensors if t.dim()], [t for t in tensors if not t.dim()]


def _in_order(memory: Memory) -> list[Tensor]:
    """Return the vectors of a memory, and then its 0-d tensors."""
    return [tensor for some in by_dimension(memory) for tensor in some]


def duplicate(memory: Memory) -> Memory:
    """Return a memory with copies of its tensors."""
    return {owner: {n: t.clone() for n, t in own.items()} for owner, own in memory.items()}


def _is_close(found: Tensor, wanted: Tensor) -> bool:
    tolerance = _TOLERANCE[wanted.dtype]
    least = tolerance * wanted.nan_to_num(0, 0, 0).abs().max().item()
    return torch.allclose(found, wanted, rtol=tolerance, atol=least, equal_nan=True)
