"""PyTorch with the images in memory, network and loss compiled, and a fused optimizer."""

from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.data import Data
from benchmarks.torch_parts import network, normalise, optimizer, shuffled, tensors
from benchmarks.work import Take, Work


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    images, labels = tensors(data)
    images = normalise(images)
    model = network(work)
    rule = optimizer(work, model.parameters(), fused=True)
    batches = shuffled(work)

    @torch.compile
    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(model(inputs), targets)

    def take(n: int) -> None:
        for index in islice(batches, n):
            loss = loss_of(images[index], labels[index])
            rule.zero_grad()
            loss.backward()
            rule.step()

    return take
