"""MNIST and its relatives: four idx files of 28x28 grey pixels and their labels.

The files are read as they are downloaded, compressed or not: torchvision would want them unpacked
beside each other, which a folder that may only be read does not allow.
"""

from pathlib import Path
from typing import Protocol

from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import DataError, DataSpec, Splits
from plugins.dataset import _download, _idx, _paths, _split

SIDE = 28


class Settings(Protocol):
    """The fields that the data sets share; without a val fraction val is the test split."""

    root: str
    download: bool
    val_fraction: float
    split_seed: int


def load(
    settings: Settings,
    name: str,
    spec: DataSpec,
    *,
    prefixes: tuple[str, str] = ("train", "t10k"),
    transposed: bool = False,
    first_label: int = 0,
    **options: str,
) -> Splits:
    """Return the splits of the data set that torchvision calls `name`, in `root`/`name`/raw.

    `prefixes` begin the names of the train and test files, whose images may be `transposed` and
    whose classes are numbered from `first_label`; `options` are for torchvision's class.
    Raises DataError where files are missing and cannot be downloaded, or are damaged.
    """
    root = _paths.locate(settings.root)
    folder = _paths.locate(settings.root, name, "raw")
    names = [file for prefix in prefixes for file in _names(prefix)]
    missing = [file for file in names if not _path(folder, file).exists()]
    if missing:
        lack = f"{missing[0]}.gz is missing in {folder}"
        _download.fetch(name, root, lack=lack, download=settings.download, **options)

    pairs = (_read(folder, prefix, spec, first_label) for prefix in prefixes)
    if transposed:
        pairs = ((images.mT.contiguous(), labels) for images, labels in pairs)
    (inputs, targets), test_pair = pairs
    test = TensorDataset(*test_pair)
    fraction = settings.val_fraction
    train_index, val_index, _ = _split.divide(targets, val=fraction, seed=settings.split_seed)
    train = TensorDataset(inputs[train_index], targets[train_index])
    val = TensorDataset(inputs[val_index], targets[val_index]) if fraction else test
    return Splits(spec=spec, train=train, val=val, test=test, source=str(folder))


def _read(folder: Path, prefix: str, spec: DataSpec, first: int) -> tuple[Tensor, Tensor]:
    """Return images [N, 1, 28, 28] as bytes and labels [N] as integers from 0."""
    images, labels = (_path(folder, file) for file in _names(prefix))
    (count, *sides), (expected,) = _idx.sizes(images, 3), _idx.sizes(labels, 1)
    if sides != [SIDE, SIDE]:
        raise DataError(f"{images}: expected images of 28 x 28, found {sides[0]} x {sides[1]}.")
    if count != expected:
        raise DataError(f"{images}: expected {expected} images, as {labels.name}, found {count}.")
    targets = _idx.read(labels, 1).long() - first
    lowest, highest = (int(label) for label in targets.aminmax())
    if lowest < 0 or highest >= len(spec.classes):
        wrong = first + (lowest if lowest < 0 else highest)
        last = first + len(spec.classes) - 1
        raise DataError(f"{labels}: expected labels from {first} to {last}, found {wrong}.")
    return _idx.read(images, 3).unsqueeze(1), targets


def _names(prefix: str) -> tuple[str, str]:
    return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


def _path(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"  # has a checksum, which the unpacked file has not
    return packed if packed.exists() else folder / name
