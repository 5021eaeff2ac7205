"""Capture a function of tensors as a CUDA graph, whose kernels are launched all at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from experiments.errors import CaptureError

Flat = Callable[..., Sequence[Tensor]]

_WARM_UPS = 3  # calls in which libraries choose kernels and set memory aside


def captured(function: Flat, examples: Sequence[Tensor]) -> Flat:
    """Return the function, which may change its arguments in place, as a graph of its kernels.

    The graph works on the examples' memory: other arguments are copied there, and what has become
    of them is copied back. Raises CaptureError.
    """
    try:
        return _captured(function, list(examples))
    except RuntimeError as error:  # of CUDA, where an operation waits for the host
        raise CaptureError(str(error).splitlines()[0]) from error


def _captured(function: Flat, places: list[Tensor]) -> Flat:
    before, generator = [place.clone() for place in places], torch.cuda.get_rng_state()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            function(*places)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        returned = function(*places)
    torch.cuda.set_rng_state(generator)
    _copy(before, places)

    def replay(*tensors: Tensor) -> list[Tensor]:
        _copy(tensors, places)
        graph.replay()
        _copy(places, tensors)
        return [tensor.clone() for tensor in returned]

    return replay


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        if source is not target:
            target.copy_(source)
