"""Read the arrays of a file of NumPy (npz), a zip file, but no pickles in it."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import psutil

_END = ".npy"
_CHUNK = 2**20
_SHARE = 0.5  # of the free memory that an array may take
# Zeros pack to a thousandth: so many times what is in the file, where it is more than so many
# bytes.
_DENSEST, _HARMLESS = 100, 2**25


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array by its name."""
    found = {}
    with zipfile.ZipFile(path) as file:
        for member in file.infolist():
            if member.filename.endswith(_END):
                with file.open(member) as content:
                    found[member.filename.removesuffix(_END)] = _header(content)[0]
    return found


def read(path: Path, name: str) -> Any:
    """Return an array; raise ValueError where it holds objects, or not what its header says."""
    import numpy as np

    with zipfile.ZipFile(path) as file:
        member = file.getinfo(name + _END)
        with file.open(member) as content:
            shape, by_column, dtype = _header(content)
            if dtype.hasobject or dtype.kind not in "biufcUS":
                raise ValueError(f"expected numbers or texts, found {dtype}")
            if min(shape, default=0) < 0:
                raise ValueError(f"expected sizes from 0 on, found {shape}")
            size = math.prod(shape) * dtype.itemsize
            _check(member, size, content.tell())
            values = np.empty(size, np.uint8)
            for start in range(0, size, _CHUNK):
                part = content.read(min(_CHUNK, size - start))
                values[start : start + len(part)] = np.frombuffer(part, np.uint8)
            if content.read(1):  # which also compares the checksum
                raise ValueError("expected the end of the array")
    array = values.view(dtype)
    array = array.reshape(shape[::-1]).T if by_column else array.reshape(shape)
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)


def _check(member: zipfile.ZipInfo, size: int, header: int) -> None:
    found = member.file_size - header
    if size != found:
        raise ValueError(f"expected {size} bytes, as its shape says, found {found}")
    if size > (room := _SHARE * psutil.virtual_memory().available):
        raise ValueError(f"expected at most {room:.0f} bytes, half of what is free, found {size}")
    if size > _HARMLESS and size > _DENSEST * member.compress_size:
        raise ValueError(
            f"expected {size} bytes, found {member.compress_size}, which may be made to fill the "
            "memory; np.savez stores them as they are"
        )


def _header(content: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    """Return an array's shape, whether it goes column by column, and its dtype."""
    from numpy.lib import format as npy

    version = npy.read_magic(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"expected an array of version 1 or 2, found {version}")
    shape, by_column, dtype = readers[version](content)
    return shape, by_column, dtype
