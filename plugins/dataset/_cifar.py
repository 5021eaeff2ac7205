"""CIFAR-10 and CIFAR-100, which torchvision downloads and decodes.

Their files are pickles, which could run any code. torchvision is let at them only after their MD5
has been found to be the one that was published with them, so that they are those very files.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Splits
from plugins.dataset import _download, _images, _paths, _split

_LARGEST = 2**28  # bytes of a file; the largest, CIFAR-100's for training, has 1.6e8


class Settings(Protocol):
    """The fields that the data sets share; without a val fraction val is the test split."""

    root: str
    download: bool
    val_fraction: float
    split_seed: int
    normalise: bool


def load(settings: Settings, name: str, *, mean: Sequence[float], std: Sequence[float]) -> Splits:
    """Return the splits of the data set that torchvision calls `name`, below `root`.

    `mean` and `std` are of the channels, where 1 is the brightest pixel. Raises DataError where
    files are missing or damaged and cannot be downloaded.
    """
    from torchvision import datasets

    root = _paths.locate(settings.root)
    kind = getattr(datasets, name)
    folder = root / kind.base_folder
    meta = kind.meta["filename"], kind.meta["md5"]
    for file, md5 in (*kind.train_list, *kind.test_list, meta):
        if lack := _lack(folder / file, md5):
            _download.fetch(name, root, lack=lack, download=settings.download)
            break

    official, held_out = (kind(root, train=train) for train in (True, False))
    (inputs, targets), test = _tensors(official), TensorDataset(*_tensors(held_out))
    fraction = settings.val_fraction
    train_index, val_index, _ = _split.divide(targets, val=fraction, seed=settings.split_seed)
    train = TensorDataset(inputs[train_index], targets[train_index])
    val = TensorDataset(inputs[val_index], targets[val_index]) if fraction else test
    side, classes = inputs.shape[-1], official.classes
    spec = _images.spec(side, classes, mean, std, normalise=settings.normalise)
    return Splits(spec=spec, train=train, val=val, test=test, source=str(folder))


def _lack(path: Path, md5: str) -> str:
    """Say how a file differs from the published one, if it does."""
    if not path.exists():
        return f"{path} is missing"
    _paths.size(path, most=_LARGEST, within=path.parent)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return f"{path}: expected the MD5 {md5}, found {found}" if found != md5 else ""


def _tensors(items: Any) -> tuple[Tensor, Tensor]:
    """Return images [N, 3, 32, 32] as bytes and labels [N] as integers."""
    inputs = torch.from_numpy(items.data).permute(0, 3, 1, 2).contiguous()
    return inputs, torch.tensor(items.targets)
