"""Read idx files, the format of MNIST and its relatives, without trusting a byte of them.

Two zero bytes, the type (8: unsigned bytes), the number of dimensions, each size as four bytes
with the highest first, then the values (LeCun, Cortes & Burges, 1998).
"""

import math
import zlib
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from experiments import DataError
from plugins.dataset import _paths

LARGEST = 2**30  # bytes, packed or unpacked; the largest known file (EMNIST by class) has 0.55e9
_CHUNK = 2**20  # bytes of a packed file that are read at a time
# Images are packed to a third. More than this many times as much, of more than so many bytes, is
# made to fill the memory.
_DENSEST, _HARMLESS = 100, 2**25
_GZIP = zlib.MAX_WBITS | 16


def sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    """Return the sizes that the header of a file, raw or gzip, declares.

    Raises DataError where it is no such file or declares more than `LARGEST`.
    """
    length = 4 + 4 * dimensions
    header, _ = _content(path, length)
    if len(header) < length:
        raise DataError(f"{path}: expected a header of {length} bytes, found {len(header)}.")
    magic = bytes([0, 0, 8, dimensions])
    if header[:4] != magic:
        wanted = f"unsigned bytes in {dimensions} dimensions"
        raise DataError(
            f"{path}: expected magic {magic.hex()} ({wanted}), found {header[:4].hex()}."
        )
    found = tuple(int.from_bytes(header[i : i + 4]) for i in range(4, length, 4))
    if not 0 < math.prod(found) <= LARGEST - length:
        shape = " x ".join(map(str, found))
        raise DataError(f"{path}: expected sizes of 1 to {LARGEST} bytes in all, found {shape}.")
    return found


def read(path: Path, dimensions: int) -> Tensor:
    """Return a file's values as a uint8 tensor; raise DataError where it is damaged.

    No more is unpacked than the header declares, plus the byte that betrays a longer file.
    """
    shape = sizes(path, dimensions)
    start, count = 4 + 4 * dimensions, math.prod(shape)
    size = _paths.size(path, most=LARGEST)
    if path.suffix == ".gz" and count > max(_HARMLESS, _DENSEST * size):
        least = count // _DENSEST
        raise DataError(f"{path}: expected {least} bytes or more of {count} values, found {size}.")
    data, whole = _content(path, start + count + 1)
    if (found := len(data) - start) != count:
        more = " or more" if found > count else ""
        raise DataError(f"{path}: expected {count} values after its header, found {found}{more}.")
    if not whole:
        raise DataError(f"{path}: expected the end of the gzip data, found too few bytes or more.")
    return torch.frombuffer(data, dtype=torch.uint8, offset=start).view(shape)


def _content(path: Path, most: int) -> tuple[bytearray, bool]:
    """Return at most `most` bytes of a file's content, and whether that is all there is."""
    size = _paths.size(path, most=LARGEST, within=path.parent)
    try:
        with path.open("rb") as file:
            if path.suffix == ".gz":
                return _inflated(file, most)
            content = bytearray(min(most, size))
            del content[file.readinto(content) :]
            return content, not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    except zlib.error as error:
        raise DataError(f"{path}: expected gzip data, found damaged ones: {error}.") from error


def _inflated(file: BinaryIO, most: int) -> tuple[bytearray, bool]:
    inflater, content = zlib.decompressobj(_GZIP), bytearray()
    while len(content) < most and not inflater.eof and (packed := file.read(_CHUNK)):
        content += inflater.decompress(packed, most - len(content))
    return content, inflater.eof and not inflater.unused_data and not file.read(1)
