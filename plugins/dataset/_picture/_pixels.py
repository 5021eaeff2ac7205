"""Decode one image into what a viewer shows of it, cut to a square."""

import math
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from plugins.dataset._picture import _imagefile

if TYPE_CHECKING:
    from PIL import Image

_WHITE = 2**16 - 1  # of 16 bits
# Errors of metadata that are damaged; an image is shown as it is stored then.
_OF_METADATA = (SyntaxError, ValueError, LookupError, TypeError, OSError, struct.error)


@dataclass(frozen=True, slots=True)
class Form:
    """What images become: [channels, size, size], as bytes or as floats from 0 to 255.

    Transparent pixels show the `background`, a colour that Pillow knows.
    """

    size: int
    grey: bool
    background: str
    dtype: torch.dtype = torch.uint8

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return an item's shape."""
        return 1 if self.grey else 3, self.size, self.size

    @property
    def nbytes(self) -> int:
        """Count the bytes of an item."""
        return math.prod(self.shape) * self.dtype.itemsize


def check(background: str) -> None:
    """Raise ValueError where a text is no colour without transparency."""
    from PIL import ImageColor

    try:
        known = len(ImageColor.getrgb(background)) == 3
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"background={background} must be a colour's name, or #rrggbb")


def decode(file: Path, form: Form) -> Tensor:
    """Return an image upright, its shorter side scaled to `size` and the middle cut out.

    Of an animation it is the first frame. Raises DataError where the file is no image.
    """
    from PIL import Image, ImageOps

    with _imagefile.opened(file) as image:
        image.load()
        with suppress(*_OF_METADATA):
            ImageOps.exif_transpose(image, in_place=True)
        sides = form.size, form.size
        flat = ImageOps.fit(_flat(image, form), sides, Image.Resampling.BILINEAR)
        return _tensor(flat).to(form.dtype).expand(form.shape).contiguous()


def _flat(image: "Image.Image", form: Form) -> "Image.Image":
    """Return an image without transparency or palette: grey, in colours, or deep grey as floats."""
    from PIL import Image

    if image.mode in _imagefile.DEEP:
        return _scaled(image, form.background)
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        behind = Image.new("RGBA", seen.size, form.background)
        image = Image.alpha_composite(behind, seen)
    if image.mode == "LAB":  # which Pillow turns into colours alone
        image = image.convert("RGB")
    return image.convert("L" if form.grey else "RGB")


def _scaled(image: "Image.Image", background: str) -> "Image.Image":
    """Return deep greys as floats from 0 to 255, and the background where one of them is clear.

    White is 65535 for whole numbers and 1 for floats, as viewers have it; numbers beyond that have
    no white, and go from the lowest to the highest of the image.
    """
    import numpy as np
    from PIL import Image, ImageColor

    values = np.asarray(image).astype(np.float64)
    lowest, highest = values.min(), values.max()
    if not math.isfinite(highest - lowest):
        raise ValueError("expected finite numbers")
    clear = values == image.info.get("transparency")
    white = 1 if image.mode == "F" else _WHITE
    if lowest < 0 or highest > white:
        values, white = values - lowest, (highest - lowest) or 1
    values *= 255 / white
    values[clear] = ImageColor.getcolor(background, "L")
    return Image.fromarray(values.astype(np.float32))


def _tensor(image: "Image.Image") -> Tensor:
    """Return pixels [channels, height, width]."""
    import numpy as np

    values: Any = np.array(image)
    return torch.from_numpy(values.reshape(*values.shape[:2], -1)).permute(2, 0, 1)
