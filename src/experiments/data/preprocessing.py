"""From items as stored to what a model is given: normalised, in its dtype, augmented."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from experiments.data.seeds import derive
from experiments.plugin.draws import Draws
from experiments.plugin.kinds import Augment
from experiments.plugin.spec import DataSpec, Task, Tensors
from experiments.rules.axis import Axis

Batch = tuple[Tensor, Tensor]


class Preprocessing:
    """Turns inputs [B, *item] and targets [B] as stored into a batch, on their device.

    In lanes everything has K before B. Images are laid out channels last where that is asked for,
    which convolutions compute faster.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        device: torch.device,
        dtype: torch.dtype,
        augment: Mapping[str, Augment] | None = None,
        channels_last: bool = False,
    ) -> None:
        self._spec, self._device, self._dtype = spec, device, dtype
        # Numbers such as seconds since 1970 would lose their differences in float32.
        self._double = dtype if device.type == "mps" else torch.float64
        mean = torch.as_tensor(spec.mean)
        self._stored = self._double if mean.dtype == torch.float64 and mean.dim() else dtype
        self._mean = torch.as_tensor(spec.mean, dtype=self._stored, device=device)
        self._scale = 1 / torch.as_tensor(spec.std, dtype=self._stored, device=device)
        units = (spec.target_mean, spec.target_std)
        self._units = [torch.as_tensor(n, dtype=self._double, device=device) for n in units]
        self._scaled = any(
            bool((n != own).any()) for n, own in zip(self._units, (0, 1), strict=True)
        )
        self._augment = augment or {}
        self._channels_last = channels_last and len(spec.input_shape) == 3

    def keys(self, seeds: Sequence[int], epoch: int) -> Tensors:
        """Return the key of each augmentation's random numbers: 0-d, in lanes [K]."""
        return {
            name: self._key([derive(seed, "augment", name, epoch) for seed in seeds])
            for name in self._augment
        }

    def plain(self, inputs: Tensor, targets: Tensor) -> Batch:
        """Return a batch without augmentation, as for evaluation."""
        # A copy even where the dtype is the stored one: the arithmetic happens in place.
        values = self._laid_out(inputs).to(self._stored, copy=True)
        values.sub_(self._mean).mul_(self._scale)
        if self._spec.task is Task.classification:
            return values.to(self._dtype), targets.to(torch.long)
        if self._scaled:
            mean, std = self._units
            targets = (targets.to(self._double) - mean) / std
        return values.to(self._dtype), targets.to(self._dtype)

    def in_units(self, values: Tensor) -> Tensor:
        """Return a regression's outputs, or targets as learnt, in the data's own units.

        Shapes: [..., B, 1] or [..., B] of one target, [..., B, T] of several; what is in these
        units already, as that of classes, stays what it is.
        """
        mean, std = self._units
        return values.to(self._double) * std + mean if self._scaled else values

    def augmented(self, inputs: Tensor, targets: Tensor, index: Tensor, keys: Tensors) -> Batch:
        """Return a batch for training; `index` [B] is each item's place in the data set."""
        batch = self.plain(inputs, targets)
        if not self._augment:
            return batch
        change = Axis.of(index, own=1).map(self._change)
        inputs, targets = change(*batch, index, keys)
        return self._laid_out(inputs), targets

    def _laid_out(self, inputs: Tensor) -> Tensor:
        if self._channels_last and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def _change(self, inputs: Tensor, targets: Tensor, index: Tensor, keys: Tensors) -> Batch:
        for name, augment in self._augment.items():
            draws = Draws(keys[name], index)
            inputs, targets = augment(inputs, targets, draws, self._spec)
        return inputs, targets

    def _key(self, values: Sequence[int]) -> Tensor:
        return Axis(len(values)).of_rows(torch.tensor(values, device=self._device))
