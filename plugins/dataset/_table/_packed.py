"""Open a file as bytes, unpacked where it is packed, and never more of them than can be one."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from experiments import DataError
from plugins.dataset import _paths

LARGEST = 2**30  # bytes, unpacked
# What a file of each kind begins with, whatever it is called.
_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"PK\x03\x04": lambda path: _only(zipfile.ZipFile(path)),
}
# What their libraries raise where a file is damaged, or a zip file has a password.
BROKEN = (
    OSError,
    EOFError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,
    zlib.error,
)


def start(path: Path) -> bytes:
    """Return a file's first bytes; raise DataError where it is none, or too large."""
    _paths.size(path, most=LARGEST)
    with path.open("rb") as file:
        return file.read(8)


def unpacked(path: Path) -> IO[bytes]:
    """Open a file of bytes, of which reading more than LARGEST raises DataError."""
    head = start(path)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return io.BufferedReader(_Bounded(opener(path), path))
    return path.open("rb")


def is_packed(path: Path) -> bool:
    """Say whether a file begins as one of gzip, bzip2, xz or zip does."""
    return start(path).startswith(tuple(_OPENERS))


class _Bounded(io.RawIOBase):
    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._left = file, path, LARGEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        self._left -= len(block)
        if self._left < 0:
            raise DataError(f"{self._path}: expected at most {LARGEST} bytes, unpacked.")
        buffer[: len(block)] = block
        return len(block)


def _only(packed: zipfile.ZipFile) -> IO[bytes]:
    files = [item for item in packed.infolist() if not item.is_dir()]
    files = [item for item in files if not item.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        raise zipfile.BadZipFile(f"expected one file in it, found {len(files)}")
    return packed.open(files[0])
