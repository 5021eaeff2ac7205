"""Read idx files, the format of MNIST and its relatives, without trusting a byte of them.

Two zero bytes, the type (8: unsigned bytes), the number of dimensions, each size as four bytes
with the highest first, then the values (LeCun, Cortes & Burges, 1998).
"""

import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from experiments import DataError

LARGEST = 2**30  # bytes, packed or unpacked; the largest known file (EMNIST by class) has 0.55e9
_FIRST = 2**16  # bytes of a file that are sure to hold the header, packed or not
_GZIP = zlib.MAX_WBITS | 16


def sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    """Return the sizes that the header of a file, raw or gzip, declares.

    Raises DataError where it is no such file or declares more than `LARGEST`.
    """
    length = 4 + 4 * dimensions
    header, _ = _unpacked(path, _bytes(path, _FIRST), length)
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
    data, whole = _unpacked(path, _bytes(path, LARGEST), start + count + 1)
    if (found := len(data) - start) != count:
        more = " or more" if found > count else ""
        raise DataError(f"{path}: expected {count} values after its header, found {found}{more}.")
    if not whole:
        raise DataError(f"{path}: expected the end of the gzip data, found too few bytes or more.")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=start).view(shape)


def _bytes(path: Path, most: int) -> bytes:
    try:
        # A link within the folder is harmless; one that leaves it may lead to anything.
        if path.is_symlink() and path.resolve().parent != path.parent.resolve():
            raise DataError(f"{path}: expected a file of this folder, found a link out of it.")
        if not path.is_file():
            raise DataError(f"{path}: expected a file, found none.")
        if (size := path.stat().st_size) > LARGEST:
            raise DataError(f"{path}: expected at most {LARGEST} bytes, found {size}.")
        with path.open("rb") as file:
            return file.read(min(most, size))  # so much memory is set aside before reading
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error


def _unpacked(path: Path, data: bytes, most: int) -> tuple[bytes, bool]:
    """Return at most `most` bytes of a file's content, and whether that is all there is."""
    if path.suffix != ".gz":
        return data[:most], len(data) <= most
    inflater = zlib.decompressobj(_GZIP)
    try:
        content = inflater.decompress(data, most)
    except zlib.error as error:
        raise DataError(f"{path}: expected gzip data, found damaged ones: {error}.") from error
    return content, inflater.eof and not inflater.unused_data
