"""Read arrays from a file of NumPy (npz) or of safetensors, of which nothing is trusted."""

import textwrap
from pathlib import Path
from typing import Any

import torch

from experiments import DataError
from plugins.dataset import _paths
from plugins.dataset._array import _npz

_LARGEST = 2**42  # bytes of a file
_HEADER = 2**22  # bytes of names and shapes, which take 25 times as many in memory
# Dtypes that torch hardly computes with, and those that items are stored in.
_STORED = {
    torch.bool: torch.uint8,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


class Archive:
    """The arrays of a file: their shapes by name, and the values of each.

    Raises DataError where the file is absent, damaged or no file of arrays. Those of safetensors
    are mapped from the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _paths.size(path, most=_LARGEST)
        if path.suffix.lower() not in (".npz", ".safetensors"):
            raise DataError(f"{path}: expected arrays in a file .npz or .safetensors.")
        self._is_npz = path.suffix.lower() == ".npz"
        try:
            self.shapes = _npz.shapes(path) if self._is_npz else _shapes(path)
        except Exception as error:  # of zip files, headers and safetensors
            raise _unreadable(f"{path}: expected arrays, which", error) from error

    def read(self, name: str) -> Any:
        """Return an array as a tensor, or one of texts as NumPy's."""
        try:
            if self._is_npz:
                return _tensor(_npz.read(self.path, name))
            with _mapped(self.path) as file:
                return _stored(file.get_tensor(name))
        except Exception as error:  # of zip files, headers and safetensors
            raise _unreadable(f"{self.path}: array '{name}'", error) from error


def _unreadable(what: str, error: Exception) -> DataError:
    reason = textwrap.shorten(str(error) or type(error).__name__, 200)
    return DataError(f"{what} cannot be read: {reason}.")


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _HEADER:
        raise ValueError(f"expected at most {_HEADER} bytes of names and shapes, found {header}")
    with _mapped(path) as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def _mapped(path: Path) -> Any:
    from safetensors import safe_open

    return safe_open(path, "pt")


def _tensor(array: Any) -> Any:
    """Return numbers as a tensor, and texts as they are."""
    if array.dtype.kind in "US":
        return array.astype(str)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(float)
    return _stored(torch.from_numpy(array))


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        raise ValueError("expected real numbers, found complex ones")
    return tensor.to(_STORED.get(tensor.dtype, tensor.dtype))
