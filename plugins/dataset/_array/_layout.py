"""How arrays of inputs become items: images are [channels, height, width]."""

from enum import Enum

import torch
from torch import Tensor

from experiments import ConfigError
from plugins.dataset import _moments

_COLOURS = (1, 3, 4)
_DIGITS = 800  # means in standard deviations from which on float32 loses what matters


class Channels(Enum):
    """The place of an image's colours; none: inputs are as they are stored."""

    auto = "auto"
    first = "first"
    last = "last"
    none = "none"


def of(inputs: Tensor, asked: Channels) -> Channels:
    """Return where images [N, ...] have their colours; greys of bytes may have no axis of them.

    Raises ConfigError where images were asked for and there can be none.
    """
    if asked is Channels.auto:
        if inputs.dim() == 3 and inputs.dtype == torch.uint8:
            return Channels.first
        if inputs.dim() == 4 and inputs.shape[1] in _COLOURS:
            return Channels.first
        return Channels.last if inputs.dim() == 4 and inputs.shape[3] in _COLOURS else Channels.none
    if asked is not Channels.none and inputs.dim() not in (3, 4):
        raise ConfigError(
            f"dataset.channels={asked.value}: expected images, greys or with an axis of colours, "
            f"found inputs {[*inputs.shape]}"
        )
    return asked


def laid_out(inputs: Tensor, channels: Channels) -> Tensor:
    """Return images [N, channels, height, width], or other inputs [N, ...] as they are."""
    if channels is Channels.last and inputs.dim() == 4:
        return inputs.movedim(3, 1).contiguous()
    greys = channels is not Channels.none and inputs.dim() == 3
    return inputs.unsqueeze(1) if greys else inputs


def axis(channels: Channels) -> int:
    """Return the axis of what has a mean of its own: colours, or the features of other inputs."""
    return -1 if channels is Channels.none else 1


def dtype(inputs: Tensor, channels: Channels) -> torch.dtype:
    """Return what inputs are stored in: bytes, float32, or float64 where that would lose digits."""
    if inputs.dtype in (torch.uint8, torch.float32):
        return inputs.dtype
    mean, std = _moments.of(inputs.double(), axis(channels))
    largest = max(abs(value.item()) for value in inputs.aminmax())
    kept = bool((mean.abs() < _DIGITS * std).all()) and largest < torch.finfo(torch.float32).max
    return torch.float32 if kept else torch.float64
