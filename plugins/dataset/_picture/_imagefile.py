"""Open an image file that may hold anything, and read what it tells before it is decoded."""

import math
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from experiments import DataError
from plugins.dataset import _paths

if TYPE_CHECKING:
    from PIL import Image

# Whatever a file is called, Pillow would try its decoders of all formats, one of which starts a
# program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_PIXELS = 2**26  # of 8 bytes while they are decoded: more than cameras take
_LARGEST = 2**28  # bytes of a file
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # greys of more than 8 bits


class Head(NamedTuple):
    """What an image's first bytes tell: greys of more than 8 bits, more frames than one."""

    deep: bool
    animated: bool


@contextmanager
def opened(file: Path) -> Iterator["Image.Image"]:
    """Open an image, whose size is known before anything of it is unpacked.

    Raises DataError where it is none, too large, or cannot be decoded while it is open.
    """
    from PIL import Image, UnidentifiedImageError

    if not _paths.size(file, most=_LARGEST):
        raise DataError(f"{file}: expected an image, found an empty file.")
    try:
        with Image.open(file, formats=_FORMATS) as image:
            if math.prod(image.size) > _PIXELS:
                raise Image.DecompressionBombError(" x ".join(map(str, image.size)))
            yield image
    except Image.DecompressionBombError as error:
        found = str(error) if " x " in str(error) else "more"
        raise DataError(f"{file}: expected at most {_PIXELS} pixels, found {found}.") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{file}: expected an image of {', '.join(_FORMATS)}.") from error
    except Exception as error:  # of any of the decoders
        reason = textwrap.shorten(str(error) or type(error).__name__, 100).rstrip(".")
        raise DataError(f"{file}: expected an image, which cannot be read: {reason}.") from error


def head(file: Path) -> Head:
    """Return what an image tells before it is decoded; raise DataError where it is none."""
    with opened(file) as image:
        deep = image.mode in DEEP
        # A camera's second frame (MPO) is the same picture at another size.
        several = image.format != "MPO" and getattr(image, "is_animated", False)
        if image.format == "PNG":  # the one that has checksums, and says nothing once it is read
            image.verify()
        return Head(deep, several)
