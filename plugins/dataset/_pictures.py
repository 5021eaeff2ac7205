"""Images in a folder a class, decoded when they are asked for."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils import data

from experiments import DataError, options
from plugins.dataset import _paths

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Whatever a file is called, Pillow would try its decoders of all formats, one of which starts a
# program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_PIXELS = 2**26  # of 8 bytes while they are decoded: more than cameras take
_LARGEST = 2**28  # bytes of a file


class Pictures(data.Dataset[tuple[Tensor, int]]):
    """Images of files, as bytes [channels, size, size], each with its class.

    The shorter side is scaled to `size` and the middle cut out of the longer one. Asking for an
    item raises DataError where the file is no image.
    """

    def __init__(self, files: Sequence[str], targets: Tensor, *, size: int, grey: bool) -> None:
        self.files, self.targets = files, targets.tolist()
        self.size, self._mode = size, "L" if grey else "RGB"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = _decoded(Path(self.files[index]), self._mode, self.size)
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        image = pixels.view(self.size, self.size, -1).permute(2, 0, 1).contiguous()
        return image, self.targets[index]


def _decoded(file: Path, mode: str, size: int) -> "Image.Image":
    """Return a file's image; its size is known before anything of it is unpacked."""
    from PIL import Image, ImageOps

    _paths.size(file, most=_LARGEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata, without the file's name
        try:
            with Image.open(file, formats=_FORMATS) as image:
                if math.prod(image.size) > _PIXELS:
                    found = " x ".join(map(str, image.size))
                    raise ValueError(f"expected at most {_PIXELS} pixels, found {found}")
                sides = size, size
                return ImageOps.fit(image.convert(mode), sides, Image.Resampling.BILINEAR)
        except Exception as error:  # of any of the decoders
            raise DataError(f"{file}: expected an image, which cannot be read: {error}.") from error


def folders(folder: Path) -> list[str]:
    """Return the names of the classes, which are folders; raise DataError where there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with a folder a class, found none.")
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: expected a folder a class, found none.")
    return names


def scan(folder: Path, classes: Sequence[str], *, within: Path) -> tuple[list[str], Tensor]:
    """Return the image files of a folder in sorted order, and their classes [N].

    Raises DataError where there is none, a folder is no class, or one that bears an image's name is
    no file or a link that leads out of the folder `within`.
    """
    names = folders(folder)
    for place in (folder, *(folder / name for name in names)):
        if _paths.leaves(place, within):
            raise DataError(f"{place}: expected a folder of {within}, found a link out of it.")
    for name in names:
        if name not in classes:
            raise DataError(
                f"{folder / name} is no class of the train split; {options(name, classes)}"
            )
    found = [
        (file, label)
        for label, name in enumerate(classes)
        for file in _files(folder / name, within)
    ]
    if not found:
        raise DataError(f"{folder}: expected images ({', '.join(SUFFIXES)}), found none.")
    return [file for file, _ in found], torch.tensor([label for _, label in found])


def complete(folder: Path, *, within: Path) -> tuple[list[str], list[str], Tensor]:
    """Return classes, files and labels of a folder each of whose classes has an image."""
    classes = folders(folder)
    files, targets = scan(folder, classes, within=within)
    for label, count in enumerate(targets.bincount(minlength=len(classes)).tolist()):
        if not count:
            raise DataError(f"{folder / classes[label]}: expected images, found none.")
    return classes, files, targets


def _files(folder: Path, within: Path) -> list[str]:
    found = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
    )
    for file in found:
        _paths.size(file, most=_LARGEST, within=within)
    return [str(file) for file in found]
