"""Capture a function of tensors as a CUDA graph, whose kernels are launched all at once."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

_WARM_UPS = 3  # calls in which libraries choose kernels and set memory aside


def captured(function: Callable[..., Any], arguments: Sequence[Any]) -> Callable[..., Any]:
    """Return `function`, which changes its arguments in place, as a graph of its kernels.

    Arguments are nests of tensors; the third is the memory, returned after what the function
    returns. They stay where they are: other tensors are copied there first. What is returned is
    overwritten by the next call.
    """
    places, shape = tree_flatten(arguments)
    before = [place.clone() for place in places]
    generator = torch.cuda.get_rng_state()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            function(*arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        returned = function(*arguments)
    _fill(places, before)
    torch.cuda.set_rng_state(generator)
    memory = tree_unflatten(places, shape)[2]

    def replay(*given: Any) -> Any:
        _fill(places, tree_flatten(given)[0])
        graph.replay()
        return (*(tensor.clone() for tensor in returned), memory)

    return replay


def _fill(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        if place is not value:
            place.copy_(value)
