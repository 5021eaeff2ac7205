"""Batches, in an order that the seed and the epoch alone decide."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as Items

from experiments.data.checks import Checked
from experiments.data.preprocessing import Batch, Preprocessing
from experiments.data.seeds import derive, generator
from experiments.data.transfer import Read, ahead
from experiments.errors import DataError
from experiments.plugin.spec import Order, Tensors
from experiments.process import signals
from experiments.rules.axis import Axis


class Batches:
    """Feeds one split to a model: normalised inputs [B, *item] and targets [B] on the device.

    With several seeds (lanes) inputs are [K, B, *item] and targets [K, B], each lane in the order
    that its seed would have alone. `resident` is the whole split on the device, where it fits. With
    `weights` [N] an epoch's items are drawn with these chances, with replacement.
    """

    def __init__(
        self,
        items: Items[Any],
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        device: torch.device,
        workers: int = 0,
        resident: bool = True,
        order: Order = Order.reshuffle,
        drop_last: bool = False,
        weights: Tensor | None = None,
    ) -> None:
        self._items, self.size = items, len(items)  # type: ignore[arg-type]
        self.batch_size, self.preprocessing = batch_size, preprocessing
        self._order, self._drop_last, self._device = order, drop_last, device
        self._cumulated = None if weights is None else weights.double().cumsum(0)
        self.resident = _moved(items, device) if resident else None
        self._sampler: list[list[int]] = []  # of each batch its seed, and the places of its items
        # Without a generator of its own it would draw from the default one, which dropout uses.
        self._generator = torch.Generator()
        self._loader: DataLoader[Any] = DataLoader(
            _Drawing(items),  # type: ignore[arg-type]  # it is asked for whole batches
            batch_sampler=self._sampler,
            generator=self._generator,
            num_workers=workers,
            worker_init_fn=signals.leave_to_parent,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        whole, rest = divmod(self.size, self.batch_size)
        return whole + (rest > 0 and not self._drop_last)

    def _indices(self, epoch: int, seeds: Sequence[int], skip: int = 0) -> list[Tensor]:
        drawn = 1 if self._order is Order.fixed else epoch
        order = Axis(len(seeds)).join(
            [self._drawn(generator(seed, "order", drawn)) for seed in seeds]
        )
        return self._split(order.to(self._device))[skip : len(self)]

    def _drawn(self, draw: torch.Generator) -> Tensor:
        """Return places of items [N]: each once, or with weights some several times."""
        if self._cumulated is None:
            return torch.randperm(self.size, generator=draw)
        shares = torch.rand(self.size, dtype=torch.double, generator=draw) * self._cumulated[-1]
        return torch.searchsorted(self._cumulated, shares, right=True).clamp(max=self.size - 1)

    def epoch(self, epoch: int, seeds: Sequence[int], skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch 1, 2, ... after the first `skip`, shuffled and augmented."""
        keys = self.preprocessing.keys(seeds, epoch)
        for read in self.reads(epoch, seeds, skip):
            yield self.batch(read, keys)

    def reads(self, epoch: int, seeds: Sequence[int], skip: int = 0) -> Iterator[Read]:
        """Yield what `batch` makes each batch of an epoch of."""
        indices = self._indices(epoch, seeds, skip)
        return self._read(indices, [(seeds[0], epoch, skip + n) for n in range(len(indices))])

    def batch(self, read: Read, keys: Tensors) -> Batch:
        """Return a batch for training; `keys` are those of the epoch's augmentations."""
        return self.preprocessing.augmented(*self._selected(read), keys)

    def in_order(self) -> Iterator[Batch]:
        """Yield the batches of one pass in the stored order."""
        everything = torch.arange(self.size, device=self._device)
        indices = self._split(everything)
        for read in self._read(indices, [(0, n) for n in range(len(indices))]):
            yield self.preprocessing.plain(*self._selected(read)[:2])

    def first(self, count: int) -> Batch:
        """Return the first items as one batch."""
        index = torch.arange(min(count, self.size), device=self._device)
        read = next(self._read([index], [(0,)]))
        return self.preprocessing.plain(*self._selected(read)[:2])

    def _read(
        self, indices: Sequence[Tensor], streams: Sequence[tuple[int, ...]]
    ) -> Iterator[Read]:
        if self.resident is None:
            return ahead(self._loaded(indices, streams), self._device)
        inputs, targets = self.resident
        return ((inputs, targets, index) for index in indices)

    def _selected(self, read: Read) -> Read:
        """Take the items of a batch out of a resident split; several times faster than `[]`."""
        if self.resident is None:
            return read
        inputs, targets, index = read
        inputs, targets = (stored.index_select(0, index.flatten()) for stored in (inputs, targets))
        if index.dim() == 1:
            return inputs, targets, index
        return inputs.unflatten(0, index.shape), targets.unflatten(0, index.shape), index

    def _split(self, order: Tensor) -> list[Tensor]:
        return [part for part in order.split(self.batch_size, dim=-1) if part.numel()]

    def _loaded(
        self, indices: Sequence[Tensor], streams: Sequence[tuple[int, ...]]
    ) -> Iterator[Read]:
        self._sampler[:] = [
            [derive(seed, "items", *batch), *index.flatten().tolist()]
            for (seed, *batch), index in zip(streams, indices, strict=True)
        ]
        try:
            for index, (inputs, targets) in zip(indices, self._loader, strict=True):
                if isinstance(self._items, Checked):
                    self._items.check(inputs, targets, index.flatten())
                yield inputs.unflatten(0, index.shape), targets.unflatten(0, index.shape), index
        except DataError as error:  # a worker's has a traceback in its text
            raise DataError(str(error).rpartition("DataError: ")[2].strip()) from error


class _Drawing:
    """Reads the items of a batch, which may draw from torch's generator: each batch the same
    numbers, in whichever process and after whatever others it is read.
    """

    def __init__(self, items: Items[Any]) -> None:
        self._items = items

    def __getitems__(self, key: Sequence[int]) -> list[Any]:
        seed, *places = key
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return [self._items[place] for place in places]


def _moved(items: Items[Any], device: torch.device) -> tuple[Tensor, ...] | None:
    """Return the tensors of a split on the device, or None where there are none or no room."""
    if not isinstance(items, TensorDataset):
        return None
    try:
        return tuple(tensor.to(device) for tensor in items.tensors)
    except torch.OutOfMemoryError:
        size = sum(tensor.nbytes for tensor in items.tensors) / 1e9
        warnings.warn(
            f"{device} has no room for {size:.2f} GB of data at once: a loader feeds it batch by "
            "batch, which is slower. dataset.resident=false does so without this warning.",
            stacklevel=2,
        )
        return None
