"""Images in a folder a class, decoded when they are asked for."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import data

from experiments import DataError, options

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


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
        from PIL import Image, ImageOps

        file, sides = self.files[index], (self.size, self.size)
        try:
            with Image.open(file) as image:
                picture = ImageOps.fit(image.convert(self._mode), sides, Image.Resampling.BILINEAR)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{file}: expected an image, which cannot be read: {error}.") from error
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        return pixels.view(*sides, -1).permute(2, 0, 1).contiguous(), self.targets[index]


def folders(folder: Path) -> list[str]:
    """Return the names of the classes, which are folders; raise DataError where there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with a folder a class, found none.")
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: expected a folder a class, found none.")
    return names


def scan(folder: Path, classes: Sequence[str]) -> tuple[list[str], Tensor]:
    """Return the image files of a folder in sorted order, and their classes [N].

    Raises DataError where there is none, or a folder is no class.
    """
    for name in folders(folder):
        if name not in classes:
            raise DataError(
                f"{folder / name} is no class of the train split; {options(name, classes)}"
            )
    found = [(file, label) for label, name in enumerate(classes) for file in _files(folder / name)]
    if not found:
        raise DataError(f"{folder}: expected images ({', '.join(SUFFIXES)}), found none.")
    return [file for file, _ in found], torch.tensor([label for _, label in found])


def complete(folder: Path) -> tuple[list[str], list[str], Tensor]:
    """Return classes, files and labels of a folder each of whose classes has an image."""
    classes = folders(folder)
    files, targets = scan(folder, classes)
    for label, count in enumerate(targets.bincount(minlength=len(classes)).tolist()):
        if not count:
            raise DataError(f"{folder / classes[label]}: expected images, found none.")
    return classes, files, targets


def _files(folder: Path) -> list[str]:
    return sorted(
        str(file)
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
