"""Describe images whose pixels are bytes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from experiments import DataSpec, Task
from plugins.dataset import _moments

Figures = tuple[Sequence[float], Sequence[float]]
# Mean and standard deviation of ImageNet's red, green and blue, as torchvision's models expect
# them, and of a grey made of them (luma: 0.299, 0.587 and 0.114).
IMAGENET: Figures = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_GREY: Figures = (0.459,), (0.226,)


def spec(
    side: int,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    normalise: bool = True,
) -> DataSpec:
    """Return the spec of square images in classes.

    `mean` and `std` have one number a channel, where 1 is the brightest pixel, as is usual in
    print; the spec has them in the units of bytes, shaped [channels, 1, 1]. What is not normalised
    goes from 0 to 1.
    """
    return DataSpec(
        input_shape=(len(mean), side, side),
        task=Task.classification,
        classes=tuple(classes),
        mean=torch.tensor(mean).view(-1, 1, 1) * 255 if normalise else 0.0,
        std=torch.tensor(std).view(-1, 1, 1) * 255 if normalise else 255.0,
    )


def figures(images: Tensor) -> Figures:
    """Return mean and standard deviation of the channels of images [N, channels, height, width].

    Both are of pixels from 0 to 1; the deviation is 1 where nothing changes.
    """
    mean, std = _moments.of(images, axis=1, constant=255.0)
    return (mean.flatten() / 255).tolist(), (std.flatten() / 255).tolist()
