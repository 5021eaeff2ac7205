"""Describe images whose pixels are bytes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from experiments import DataSpec, Task

# Mean and standard deviation of ImageNet's red, green and blue, as torchvision's models expect
# them, and of a grey made of them (luma: 0.299, 0.587 and 0.114).
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_GREY = (0.459,), (0.226,)
_CONSTANT = 1e-6  # of 1: what rounding leaves of a channel that never changes


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


def figures(images: Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of the channels of images [N, channels, height, width].

    Both are of pixels from 0 to 1; the deviation is 1 where nothing changes.
    """

    def mean_of(values: Callable[[Tensor], Tensor]) -> Tensor:
        sums = [values(part.double() / 255).sum((0, 2, 3)) for part in images.split(16)]
        return torch.stack(sums).sum(0) / images[:, 0].numel()

    mean = mean_of(lambda part: part)
    std = mean_of(lambda part: (part - mean.view(-1, 1, 1)).square()).sqrt()
    return mean.tolist(), torch.where(std > _CONSTANT, std, 1.0).tolist()
