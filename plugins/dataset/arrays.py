from dataclasses import field

import torch
from torch import Tensor

from experiments import ConfigError, DataSpec, Splits, Task, register
from plugins.dataset import _drawn, _moments, _paths, _task
from plugins.dataset._array import _archive, _items, _labels, _layout, _parts


@register("arrays")
class Arrays(_drawn.Drawn):
    """Arrays of your own script, in a file of NumPy (npz) or safetensors.

    Inputs are [N, ...] and targets [N] or [N, T]; with train_, val_ or test_ before their names, or
    _train after them, they are those of a split, and what is missing is drawn from train. Texts are
    classes, and so are whole numbers that are few against the items.
    """

    path: str
    inputs: str | None = None  # the array's name; null: inputs, x, images, data or features
    targets: str | None = None  # null: targets, y, labels or target
    task: Task | None = None
    classes: list[str] = field(default_factory=list)  # names of the classes 0, 1, ...
    channels: _layout.Channels = _layout.Channels.auto  # of images
    normalise: bool = True  # by mean and standard deviation of train; false: bytes become 0 to 1

    def load(self) -> Splits:
        _task.check(self.task)
        archive = _archive.Archive(_paths.locate(self.path))
        pairs = _parts.find(archive, {"inputs": self.inputs, "targets": self.targets})
        if self.folds and "val" in pairs:
            raise ConfigError(f"dataset.folds={self.folds}: {self.path} has a val split already")
        found = _items.read(archive, pairs)
        targets = _items.joined(found)
        name = pairs["train"][1]
        labels = _labels.decide(str(archive.path), name, targets, self.task, self.classes)
        layout = _layout.of(found["train"].inputs, self.channels)
        items = _items.laid_out(found, layout, labels.targets)
        index = self._divided(items, stratified=bool(labels.classes))
        train, val, test = (
            items.get(split, items["train"]).some(places) for split, places in index.items()
        )
        told = [f"{split}: inputs '{a}', targets '{b}'" for split, (a, b) in pairs.items()]
        if layout is not _layout.Channels.none:
            told.append(
                f"inputs are images, colours {layout.value}; dataset.channels=none otherwise"
            )
        return Splits(
            spec=self._spec(items["train"], index["train"], labels, layout),
            train=train,
            val=val,
            test=test,
            source=str(archive.path),
            reason=labels.reason,
            notes=tuple(told),
        )

    def _divided(self, items: dict[str, _items.Items], *, stratified: bool) -> dict[str, Tensor]:
        """Return the places of each split's items in its own arrays, or in those of train."""
        targets = items["train"].targets
        drawn = self.drawn(targets if stratified else torch.zeros(len(targets)), own=items)
        own = {split: torch.arange(len(part.targets)) for split, part in items.items()}
        own.pop("train")
        return dict(zip(("train", "val", "test"), drawn, strict=True)) | own

    def _spec(
        self, train: _items.Items, index: Tensor, labels: _labels.Labels, layout: _layout.Channels
    ) -> DataSpec:
        inputs, targets = train
        mean: Tensor | float = 0.0
        std: Tensor | float = 255.0 if inputs.dtype == torch.uint8 else 1.0
        if self.normalise:
            mean, std = _moments.of(inputs, _layout.axis(layout), index)
        target_mean: Tensor | float = 0.0
        target_std: Tensor | float = 1.0
        if not labels.classes:
            target_mean, target_std = _moments.of_targets(targets, index)
        return DataSpec(
            input_shape=tuple(inputs.shape[1:]),
            task=Task.classification if labels.classes else Task.regression,
            classes=labels.classes,
            mean=mean,
            std=std,
            targets=labels.names,
            target_mean=target_mean,
            target_std=target_std,
        )
