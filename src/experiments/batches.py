"""Batches, in an order that the seed and the epoch alone decide."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as Items

from experiments.interfaces import DataSpec, Task
from experiments.seeds import generator

Batch = tuple[Tensor, Tensor]


class Batches:
    """Feeds one split to a model: normalised inputs [B, *item] and targets [B] on the device.

    With several seeds (lanes) inputs are [K, B, *item] and targets [K, B], each lane in the order
    that its seed would have alone.
    """

    def __init__(
        self,
        items: Items[Any],
        spec: DataSpec,
        *,
        batch_size: int,
        device: torch.device,
        dtype: torch.dtype,
        workers: int = 0,
        resident: bool = True,
    ) -> None:
        self.size = len(items)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self._items, self._spec, self._workers = items, spec, workers
        self._device, self._dtype = device, dtype
        self._mean = torch.as_tensor(spec.mean, dtype=dtype, device=device)
        self._std = torch.as_tensor(spec.std, dtype=dtype, device=device)
        self._tensors: tuple[Tensor, ...] | None = None
        if resident and isinstance(items, TensorDataset):
            self._tensors = tuple(tensor.to(device) for tensor in items.tensors)

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return math.ceil(self.size / self.batch_size)

    def epoch(self, epoch: int, seeds: Sequence[int], skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch 1, 2, ... after the first `skip`, shuffled."""
        orders = [
            torch.randperm(self.size, generator=generator(seed, "order", epoch)) for seed in seeds
        ]
        order = orders[0] if len(orders) == 1 else torch.stack(orders)
        yield from self._read(order[..., skip * self.batch_size :])

    def in_order(self) -> Iterator[Batch]:
        """Yield the batches of one pass in the stored order."""
        yield from self._read(torch.arange(self.size))

    def first(self, count: int) -> Batch:
        """Return the first items as one batch."""
        return next(self._read(torch.arange(min(count, self.size)), count))

    def _read(self, order: Tensor, size: int | None = None) -> Iterator[Batch]:
        chunks = [c for c in order.split(size or self.batch_size, dim=-1) if c.numel()]
        stored = self._indexed(chunks) if self._tensors is not None else self._loaded(chunks)
        for inputs, targets in stored:
            yield self._normalise(inputs), self._cast(targets)

    def _indexed(self, chunks: Sequence[Tensor]) -> Iterator[Batch]:
        assert self._tensors is not None
        inputs, targets = self._tensors
        for chunk in chunks:
            index = chunk.to(self._device, non_blocking=True)
            yield inputs[index], targets[index]

    def _loaded(self, chunks: Sequence[Tensor]) -> Iterator[Batch]:
        loader: DataLoader[Any] = DataLoader(
            self._items,
            batch_sampler=[chunk.flatten().tolist() for chunk in chunks],
            generator=torch.Generator(),  # else it draws from the default one, which dropout uses
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
        )
        for chunk, batch in zip(chunks, loader, strict=True):
            inputs, targets = (part.to(self._device, non_blocking=True) for part in batch)
            yield inputs.unflatten(0, chunk.shape), targets.unflatten(0, chunk.shape)

    def _normalise(self, inputs: Tensor) -> Tensor:
        return (inputs.to(self._dtype) - self._mean) / self._std

    def _cast(self, targets: Tensor) -> Tensor:
        return targets.to(torch.long if self._spec.task is Task.classification else self._dtype)
