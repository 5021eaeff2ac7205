"""An elementwise rule applied to a large model: each number is read and written once a step."""

import ctypes
import logging
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from experiments.plugin.spec import Tensors
from experiments.rules.chain import Chain, Memory
from experiments.rules.change import Change
from experiments.rules.kernel.compiler import Compiled, c_code, machine_code
from experiments.rules.kernel.trace import UnfitError, traced
from experiments.rules.params import Params, gradient_of

log = logging.getLogger(__name__)

Numbers = dict[str, Tensors]

_BLOCK = 2**16  # numbers, whose change stays in the cache until it is subtracted
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def kernel_of(
    chain: Chain, numbers: Numbers, params: Params, state: Memory, time: Tensor
) -> "Kernel | None":
    """Return a rule's step as a kernel, or None where it is not elementwise, or has no compiler.

    It is made of what the rule does at one step, and has to give the same.
    """
    grad, param = params.gradient, params.vector
    tensors = [tensor for _, _, tensor in _flat(state)]
    shaped = all(t.shape == param.shape and t.dtype == param.dtype for t in tensors)
    apart = len({t.data_ptr() for t in tensors}) == len(tensors)
    if not (shaped and apart and all(t.is_contiguous() for t in tensors)):
        return None
    copies = {owner: {n: t.clone() for n, t in own.items()} for owner, own in state.items()}
    vectors = [grad.clone(), param.clone(), *(tensor for _, _, tensor in _flat(copies))]

    def results() -> list[Tensor]:
        change, after = chain.step(numbers, vectors[0], vectors[1], copies, {}, None, time)
        return [change, *(tensor for _, _, tensor in _flat(after))]

    try:
        formula, wanted = traced(results, vectors, _scalars(numbers, time))
    except UnfitError as error:
        log.debug("The rule goes operation by operation: %s.", error)
        return None
    count = len(_scalars(numbers, time))
    function = machine_code(c_code(formula, len(vectors), count, param.dtype))
    if function is None:
        return None
    kernel = Kernel(function, params)
    copies = {owner: {n: t.clone() for n, t in own.items()} for owner, own in state.items()}
    found = torch.cat([change.clone() for _, change in kernel.step(copies, numbers, time)])
    given = [found, *(tensor for _, _, tensor in _flat(copies))]
    return kernel if all(map(_is_close, given, wanted)) else None


class Kernel:
    """A compiled rule, which changes parameters and memory block by block."""

    def __init__(self, function: Compiled, params: Params) -> None:
        self.function, self._params = function, params
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

    def step(self, state: Memory, numbers: Numbers, time: Tensor) -> Change:
        """Return the change of a step; the memory is changed while it is gone through."""
        scalars = [scalar.item() for scalar in _scalars(numbers, time)]
        return InBlocks(self, self._params, [tensor for _, _, tensor in _flat(state)], scalars)


class InBlocks(Change):
    """A change that is computed block by block, each before it is subtracted."""

    def __init__(
        self, kernel: Kernel, params: Params, state: Sequence[Tensor], scalars: Sequence[float]
    ) -> None:
        self._kernel, self._params, self._state, self._squares = kernel, params, state, 0.0
        self._scalars = (ctypes.c_double * len(scalars))(*scalars)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each block of the parameters with what is subtracted from it."""
        kernel, vector, layout = self._kernel, self._params.vector, self._params.layout
        tensors = [vector, vector, *self._state, kernel.scratch]
        addresses = (ctypes.c_void_p * len(tensors))(*(t.data_ptr() for t in tensors))
        leaves, known, grad = self._params.tensors, None, vector
        for place, start, part, change in kernel.blocks:
            if place is not known:
                grad = layout.flat(gradient_of(leaves[place.name]), place).contiguous()
                # Such that the numbers of the vector's places are the gradient's, too.
                addresses[0] = grad.data_ptr() - place.start * grad.element_size()
                known = place
            self._squares += kernel.function(
                addresses, self._scalars, start, len(part), kernel.threads
            )
            yield part, change

    def norm(self) -> Tensor:
        """Return the length of the whole, 0-d, after the last block."""
        return self._params.vector.new_tensor(self._squares).sqrt()


def _flat(memory: Memory) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the tensors of a memory, in the order of their names."""
    for owner in sorted(memory):
        for name in sorted(memory[owner]):
            yield owner, name, memory[owner][name]


def _scalars(numbers: Numbers, time: Tensor) -> list[Tensor]:
    return [*(tensor for _, _, tensor in _flat(numbers)), time]


def _is_close(found: Tensor, wanted: Tensor) -> bool:
    tolerance = _TOLERANCE[wanted.dtype]
    least = tolerance * wanted.nan_to_num(0, 0, 0).abs().max().item()
    return torch.allclose(found, wanted, rtol=tolerance, atol=least, equal_nan=True)
