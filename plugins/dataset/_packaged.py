"""The tables that come with scikit-learn, read without the second that importing it costs."""

import gzip
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from experiments import DataError, Splits
from plugins.dataset import _paths, _tensors
from plugins.dataset._drawn import Drawn

_LARGEST = 2**20  # bytes, unpacked; the largest has 0.26e6


def splits(
    dataset: Drawn,
    name: str,
    inputs: Tensor,
    targets: Tensor,
    features: Sequence[str],
    classes: Sequence[str] = (),
) -> Splits:
    """Return the splits of inputs [N, features] and targets [N], a regression's without classes."""
    return _tensors.splits(
        inputs.float(),
        targets.long() if classes else targets.float(),
        dataset.drawn(targets if classes else torch.zeros(len(targets))),
        classes=classes,
        scale_target=not classes,
        source=f"sklearn.datasets.load_{name}",
        notes=(f"inputs: {', '.join(features)}",),
    )


def table(
    name: str, rows: int, columns: int, *, delimiter: str | None = ",", header: bool = True
) -> Tensor:
    """Return the numbers of a packaged file [rows, columns] in float64.

    Raises DataError where it is absent or is something else.
    """
    import numpy as np

    path = folder() / name
    _paths.size(path, most=_LARGEST)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read(_LARGEST)
        values = np.loadtxt(io.BytesIO(text), delimiter=delimiter, skiprows=int(header), ndmin=2)
    except Exception as error:  # of files, gzip and numbers
        raise DataError(f"{path}: expected numbers of scikit-learn: {error}.") from error
    if values.shape != (rows, columns) or not np.isfinite(values).all():
        shape = " x ".join(map(str, values.shape))
        raise DataError(f"{path}: expected {rows} x {columns} finite numbers, found {shape}.")
    return torch.from_numpy(values)


def folder() -> Path:
    """Return the folder of the files; raise DataError where scikit-learn is not installed."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("expected scikit-learn, which its data sets come with, found none.")
    return Path(spec.origin).parent / "datasets" / "data"
