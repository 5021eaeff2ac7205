"""Files of the MNIST family, made up."""

import gzip
from pathlib import Path

import torch
from torch import Tensor

IMAGES = torch.arange(20 * 28 * 28).remainder(256).byte().view(20, 28, 28)
LABELS = torch.arange(20).remainder(10).byte()


def packed(values: Tensor, sizes: tuple[int, ...] | None = None) -> bytes:
    """Return the bytes of an idx file, whose header may lie about its sizes."""
    sizes = tuple(values.shape) if sizes is None else sizes
    header = bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4) for size in sizes)
    return header + values.numpy().tobytes()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def write_mnist(
    folder: Path,
    *,
    images: Tensor = IMAGES,
    labels: Tensor = LABELS,
    prefixes: tuple[str, str] = ("train", "t10k"),
    suffix: str = ".gz",
) -> None:
    """Write the four files of a data set of the MNIST family."""
    for prefix in prefixes:
        write(folder / f"{prefix}-images-idx3-ubyte{suffix}", packed(images))
        write(folder / f"{prefix}-labels-idx1-ubyte{suffix}", packed(labels))
