"""Images in files, each with its class: decoded when one is asked for, or all of them at once."""

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import data

from experiments import DataError
from plugins.dataset._picture import _inspection, _pixels

_SAMPLE = 500  # images whose mean and standard deviation stand for those of all
_KEY = 64  # bytes of a file
_SAMPLE_BYTES = 2**28  # that they have at most


class Pictures(data.Dataset[tuple[Tensor, int]]):
    """Images of files, each with its class; asking for one raises DataError where it is none."""

    def __init__(self, items: Sequence[tuple[str, int]], form: _pixels.Form) -> None:
        self.items, self.form = items, form
        self.files = [file for file, _ in items]
        self.targets = torch.tensor([label for _, label in items])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        file, label = self.items[index]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, without the file's name
            try:
                return _pixels.decode(Path(file), self.form), label
            except DataError as error:
                raise DataError(f"{error} dataset.broken=skip leaves such files out.") from error

    def decoded(self, broken: dict[str, str]) -> data.TensorDataset:
        """Return the images in memory; note in `broken` why some files cannot be decoded."""
        images = torch.empty(len(self), *self.form.shape, dtype=self.form.dtype)

        def place(index: int) -> None:
            images[index] = _pixels.decode(Path(self.files[index]), self.form)

        broken |= _inspection.each(self.files, place)
        return data.TensorDataset(images, self.targets)

    def sample(self) -> list[int]:
        """Return the places of images, evenly spread, whose figures stand for those of all."""
        count = min(len(self), _SAMPLE, 1 + _SAMPLE_BYTES // self.form.nbytes)
        return (torch.arange(count) * len(self) // count).tolist()


def in_memory(parts: Sequence[Pictures], root: Path) -> list[data.TensorDataset]:
    """Decode splits; raise DataError where files below `root` are no images."""
    broken: dict[str, str] = {}
    splits = [part.decoded(broken) for part in parts]
    if broken:
        raise _inspection.refusal(broken, sum(map(len, parts)), root)
    return splits


def some(part: Pictures, split: data.Dataset[Any], root: Path) -> Tensor:
    """Return a sample of images [N, channels, size, size], the same where the split is in memory.

    Raises DataError where a file below `root` is no image.
    """
    places = part.sample()
    if isinstance(split, data.TensorDataset):
        return split.tensors[0][places]
    drawn = Pictures([part.items[place] for place in places], part.form)
    return in_memory([drawn], root)[0].tensors[0]


def leaks(train: Pictures, val: Pictures, test: Pictures) -> Iterator[str]:
    """Say how many images of val and test are in train, too, by the bytes of their files."""
    keys = [[_key(file) for file in part.files] for part in (train, val, test)]
    shared = {*keys[0]} & {*keys[1], *keys[2]}
    digests = [
        {file: _digest(file) for file, key in zip(part.files, own, strict=True) if key in shared}
        for part, own in zip((train, val, test), keys, strict=True)
    ]
    known = {*digests[0].values()}
    for name, part, own in (("val", val, digests[1]), ("test", test, digests[2])):
        if count := sum(digest in known for digest in own.values()):
            yield (
                f"{count} of {len(part)} images of {name} are in train, too: a model that has "
                "learnt them by heart is right about them."
            )


def _key(file: str) -> int:
    """Return what is the same for equal files, and cheaper than all their bytes."""
    with Path(file).open("rb") as content:
        size = content.seek(0, os.SEEK_END)
        content.seek(size // 2)
        return hash((size, content.read(_KEY)))


def _digest(file: str) -> bytes:
    with Path(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
