import gzip
import io
from importlib.util import find_spec
from pathlib import Path

import torch

from experiments import DataError, Dataset, Splits, number, register
from plugins.dataset import _paths, _split, _tensors

ITEMS, SIDE = 1797, 8
LARGEST = 2**20  # bytes, unpacked; there are 0.26e6


@register("digits")
class Digits(Dataset):
    """1,797 handwritten digits of 8 x 8 pixels from 0 to 16, which come with scikit-learn.

    They are the test part of the "Optical Recognition of Handwritten Digits" of the UCI repository
    (Alpaydin & Kaynak, 1998).
    """

    val_fraction: float = number(0.15, above=0, below=1)
    test_fraction: float = number(0.15, above=0, below=1)
    split_seed: int = number(0, at_least=0)
    folds: int | None = number(None, at_least=2)  # of a cross-validation
    fold: int = number(0, at_least=0)  # the one that is the val split

    def __post_init__(self) -> None:
        _split.check(self.val_fraction, self.test_fraction, self.folds, self.fold)

    def load(self) -> Splits:
        table = _read(_file())
        return _tensors.splits(
            table[:, :-1].reshape(-1, 1, SIDE, SIDE),
            table[:, -1].long(),
            classes=[str(digit) for digit in range(10)],
            val=self.val_fraction,
            test=self.test_fraction,
            seed=self.split_seed,
            folds=self.folds,
            fold=self.fold,
            source="sklearn.datasets.load_digits",
            one_scale=True,
        )


def _file() -> Path:
    """Return the packaged file, without the second that importing scikit-learn costs."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError("dataset=digits: expected scikit-learn, which is not installed.")
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def _read(path: Path) -> torch.Tensor:
    """Return pixels and label of every item [1797, 65] as bytes."""
    import numpy as np

    _paths.size(path, most=LARGEST)
    try:
        with gzip.open(path) as file:
            text = file.read(LARGEST)
        table = np.loadtxt(io.BytesIO(text), delimiter=",", dtype=np.uint8)
    except Exception as error:  # of files, gzip and numbers
        raise DataError(f"{path}: expected scikit-learn's digits: {error}.") from error
    if table.shape != (ITEMS, SIDE**2 + 1) or table[:, :-1].max() > 16 or table[:, -1].max() > 9:
        shape = " x ".join(map(str, table.shape))
        raise DataError(f"{path}: expected {ITEMS} x {SIDE**2 + 1} small numbers, found {shape}.")
    return torch.from_numpy(table)
