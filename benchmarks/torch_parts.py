"""What the PyTorch contenders share: networks, optimizers, images and the order of an epoch."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from benchmarks.data import Data
from benchmarks.work import ITEMS, MEAN, STD, Take, Work

Batch = TypeVar("Batch")


def network(work: Work) -> nn.Module:
    """Return the work's network; its inputs are images [B, 1, 28, 28]."""
    match work.name:
        case "linear":
            return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        case "mlp":
            return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        case "cnn":
            return nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *(nn.Flatten(), nn.Linear(1568, 10)),
            )


def optimizer(work: Work, params: Iterable[Tensor], *, fused: bool | None = None) -> Optimizer:
    """Return the work's optimizer; `fused` updates a parameter in one pass over its memory."""
    match work.rule:
        case "sgd":
            return SGD(params, work.lr, fused=fused)
        case "momentum":
            return SGD(params, work.lr, momentum=0.9, fused=fused)
        case "adam":
            return Adam(params, work.lr, fused=fused)


def tensors(data: Data) -> tuple[Tensor, Tensor]:
    """Return images [N, 1, 28, 28] as bytes, and labels [N]."""
    return torch.from_numpy(data.images).unsqueeze(1), torch.from_numpy(data.labels)


def normalise(images: Tensor) -> Tensor:
    """Turn bytes into numbers whose mean is 0 and whose deviation is 1."""
    return (images.float() - 255 * MEAN) / (255 * STD)


def shuffled(work: Work) -> Iterator[Tensor]:
    """Yield the indices of batch after batch, in a new order each epoch."""
    while True:
        yield from torch.randperm(ITEMS).split(work.batch_size)[: work.steps_per_epoch]


def resident(work: Work, data: Data, *, fused: bool, bytes_stored: bool) -> Take:
    """Return what takes n steps with the images in memory, as bytes or as normalised floats."""
    images, labels = tensors(data)
    images = images if bytes_stored else normalise(images)
    model = network(work)
    if fused:
        model = model.to(memory_format=torch.channels_last)
    rule = optimizer(work, model.parameters(), fused=fused or None)
    batches = shuffled(work)

    def take(n: int) -> None:
        for index in islice(batches, n):
            inputs = normalise(images[index]) if bytes_stored else images[index]
            loss = cross_entropy(model(inputs), labels[index])
            rule.zero_grad()
            loss.backward()
            rule.step()

    return take


def endless(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batch after batch, epoch after epoch."""
    while True:
        yield from loader
