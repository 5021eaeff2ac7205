"""Read Fashion-MNIST from the idx files that its authors publish."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Data:
    """Images [N, 28, 28] and labels [N], and the folder that they come from."""

    root: Path
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read(root: Path, part: Literal["train", "t10k"]) -> Data:
    """Return the train or the test images of `root`/FashionMNIST/raw."""
    folder = root / "FashionMNIST" / "raw"
    images = _values(folder / f"{part}-images-idx3-ubyte.gz", header=16)
    labels = _values(folder / f"{part}-labels-idx1-ubyte.gz", header=8)
    return Data(root, images.reshape(-1, 28, 28), labels.astype(np.int64))


def _values(path: Path, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8, offset=header)
