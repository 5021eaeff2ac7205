"""An elementwise rule applied to a large model: each number is read and written once a step."""

import ctypes
import logging
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from experiments.rules.chain import Memory, Numbers, Stepped
from experiments.rules.change import Change
from experiments.rules.kernel.compiler import Compiled, c_code, machine_code
from experiments.rules.kernel.expressions import TYPES
from experiments.rules.kernel.reference import Reference, by_dimension, duplicate, tensors_of
from experiments.rules.kernel.trace import UnfitError, traced
from experiments.rules.params import Params, gradient_of

log = logging.getLogger(__name__)

_BLOCK = 2**16  # numbers, whose change stays in the cache until it is subtracted
# A kernel is tried at the first step, and so many steps later.
_LATER = (1.0, 9.0, 2000.0)


def kernel_of(
    take: Callable[..., Stepped],
    owners: Sequence[str],
    grad: Tensor,
    params: Params,
    state: Memory,
    numbers: Numbers,
    time: Tensor,
) -> "Kernel | None":
    """Return what takes a step as a kernel, or None where it is not elementwise, or there is none.

    It is made of what is done at one step, and has to give the same. `take` changes the memory of
    its owners.
    """
    own = {name: state[name] for name in owners}
    if not _fits(own, params.vector):
        return None
    first = Reference(take, grad, params.vector, duplicate(own), numbers, time)
    try:
        formula = traced(first.results, first.vectors, first.scalars)
    except UnfitError as error:
        log.debug("The rule goes operation by operation: %s.", error)
        return None
    kept = len(by_dimension(own)[1])
    code = c_code(formula, len(first.vectors), len(first.scalars), kept, grad.dtype)
    if (function := machine_code(code)) is None:
        return None
    kernel = Kernel(function, owners, params)
    trials = [Reference(take, grad, params.vector, duplicate(own), numbers, time)]
    trials += [trials[0].moved(later) for later in _LATER]
    return kernel if all(trial.is_given(kernel.step) for trial in trials) else None


def _fits(memory: Memory, like: Tensor) -> bool:
    """Say whether a memory is of vectors like the parameters, and of numbers, each by itself."""
    vectors, scalars = by_dimension(memory)
    shaped = all(t.shape == like.shape and t.dtype == like.dtype for t in vectors)
    apart = len({t.data_ptr() for t in tensors_of(memory)}) == len(tensors_of(memory))
    whole = all(t.is_contiguous() for t in vectors) and all(t.dtype in TYPES for t in scalars)
    return shaped and apart and whole


class Kernel:
    """A compiled rule, which changes parameters and memory block by block."""

    def __init__(self, function: Compiled, owners: Sequence[str], params: Params) -> None:
        self.function, self._owners, self._params = function, owners, params
        self.threads = torch.get_num_threads()
        vector, size = params.vector, _BLOCK * self.threads
        self.scratch = vector.new_empty(min(size, vector.numel()))
        # Each with its parameter, its place, and the views that the loop subtracts.
        self.blocks = [
            (place, start, vector[start:stop], self.scratch[: stop - start])
            for place in params.layout.places
            for start in range(place.start, place.stop, size)
            for stop in [min(start + size, place.stop)]
        ]

    def step(
        self, state: Memory, numbers: Numbers, time: Tensor, grad: Tensor | None = None
    ) -> Change:
        """Return the change of a step; the memory is changed while it is gone through.

        Without a gradient [P] it is what backward has left with the parameters.
        """
        vectors, kept = by_dimension({name: state[name] for name in self._owners})
        scalars = [scalar.item() for scalar in (*tensors_of(numbers), time, *kept)]
        return InBlocks(self, self._params, vectors, kept, scalars, grad)


class InBlocks(Change):
    """A change that is computed block by block, each before it is subtracted."""

    def __init__(
        self,
        kernel: Kernel,
        params: Params,
        state: Sequence[Tensor],
        kept: Sequence[Tensor],
        scalars: Sequence[float],
        grad: Tensor | None,
    ) -> None:
        self._kernel, self._params, self._state, self._kept = kernel, params, state, kept
        self._squares = 0.0
        self._grad = grad
        self._scalars = (ctypes.c_double * len(scalars))(*scalars)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each block of the parameters with what is subtracted from it."""
        kernel, vector, layout = self._kernel, self._params.vector, self._params.layout
        tensors = [vector if self._grad is None else self._grad, vector]
        tensors += [*self._state, kernel.scratch]
        addresses = (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))
        after = (ctypes.c_double * len(self._kept))()
        leaves, known, grad = self._params.tensors, None, vector
        for place, start, part, change in kernel.blocks:
            if self._grad is None and place is not known:
                grad = layout.flat(gradient_of(leaves[place.name]), place).contiguous()
                # Such that the numbers of the vector's places are the gradient's, too.
                addresses[0] = grad.data_ptr() - place.start * grad.element_size()
                known = place
            self._squares += kernel.function(
                addresses, self._scalars, after, start, len(part), kernel.threads
            )
            yield part, change
        for tensor, value in zip(self._kept, after, strict=True):
            tensor.fill_(value)

    def norm(self) -> Tensor:
        """Return the length of the whole, 0-d, after the last block."""
        return self._params.vector.new_tensor(self._squares).sqrt()
