"""No training: only the matrix products and convolutions that a step cannot do without."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.nn.functional import conv2d

from benchmarks.data import Data
from benchmarks.work import Affine, Convolution, Take, Work


def prepare(work: Work, _: Data) -> Take:
    """Return the function that computes the products of n steps."""
    products = [
        product
        for layer in work.layers
        for product in make(layer, work.batch_size, first=layer is work.layers[0])
    ]

    def take(n: int) -> None:
        with torch.no_grad():
            for _ in range(n):
                for product in products:
                    product()

    return take


def make(layer: Affine | Convolution, count: int, *, first: bool) -> Iterator[Callable[[], object]]:
    """Yield a layer's products: outputs, weight gradient and, but for the first, input gradient."""
    match layer:
        case Affine():
            return affine(layer, count, first=first)
        case Convolution():
            return convolution(layer, count, first=first)


def affine(layer: Affine, count: int, *, first: bool) -> Iterator[Callable[[], object]]:
    """Yield matrix products into memory that is there."""
    inputs, weight = torch.randn(count, layer.fan_in), torch.randn(layer.fan_in, layer.fan_out)
    outputs = inputs @ weight
    yield partial(torch.mm, inputs, weight, out=outputs.clone())
    yield partial(torch.mm, inputs.T, outputs, out=weight.clone())
    if not first:
        yield partial(torch.mm, outputs, weight.T, out=inputs.clone())


def convolution(layer: Convolution, count: int, *, first: bool) -> Iterator[Callable[[], object]]:
    """Yield convolutions in the layout that is fastest on CPUs."""
    fast = partial(torch.empty, memory_format=torch.channels_last)
    inputs = fast((count, layer.fan_in, layer.side, layer.side)).normal_()
    kernel = fast((layer.fan_out, layer.fan_in, 3, 3)).normal_()
    outputs = conv2d(inputs, kernel, padding=1)
    yield partial(conv2d, inputs, kernel, padding=1)
    geometry = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, not turned
    backward = torch.ops.aten.convolution_backward
    yield partial(backward, outputs, inputs, kernel, None, *geometry, [not first, True, False])
