"""Checkpoints: one plain safetensors file with a checksum, written whole or not at all."""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from experiments.errors import DataError
from experiments.plugin.spec import Tensors

# What the header of a file may have, that reading it is a matter of a second and 200 MB: JSON takes
# up to 25 times its length in memory, each tensor 50 us.
_HEADER = 2**22  # bytes: of names, shapes and facts
_TENSORS = 2**14
_NESTS = 2**16  # lists and dictionaries of the facts
# Bytes from which on a file that is nearly all holes is refused: it costs nothing to make, and its
# checksum an hour to compute. No file system packs tensors to a hundredth.
_LARGE, _PACKED = 2**28, 100


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts so that a crash leaves the old file or the new one.

    The metadata holds the facts and one SHA-256 of them and of the tensors' names, shapes and
    bytes. Raises OSError where there is no room, or more facts than `load` would read.
    """
    dense = {name: _dense(tensor) for name, tensor in tensors.items()}
    text = json.dumps(facts)
    content = serialise(dense, {"facts": text, "sha256": _digest(dense, text)})
    if _excess(content[:8], len(dense), text):
        raise OSError(errno.EFBIG, "More names and facts than can be read again", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # a full disk needs the room
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Return a checkpoint's tensors, which are mapped from the file, and its facts.

    Nothing of the file is trusted: raises DataError where it is absent, damaged or hostile.
    """
    try:
        start = _start(path)
        with safe_open(path, "pt") as file:
            metadata, names = file.metadata() or {}, file.keys()
            text = metadata.get("facts", "")
            if excess := _excess(start, len(names), text):
                raise ValueError(excess)
            tensors = {name: file.get_tensor(name) for name in names}
        if metadata.get("sha256") != _digest(tensors, text):
            raise DataError(f"{path} is damaged: its content does not fit its checksum.")
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError(f"expected facts by name, found {text[:50]}")
    except (OSError, SafetensorError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # A RuntimeError may be of Python, of facts nested too deep, or of torch with a traceback.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path} is no readable checkpoint: {reason[:200]}.") from error
    return tensors, facts


def is_hollow(status: os.stat_result) -> bool:
    """Say whether a large file is nearly all holes."""
    stored = 512 * status.st_blocks  # 0 where a file system does not tell
    return status.st_size > _LARGE and 0 < stored < status.st_size // _PACKED


def _dense(tensor: Tensor) -> Tensor:
    # A dimension of one number may have any stride, which no view of bytes takes.
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def under(prefix: str, tensors: Tensors) -> Tensors:
    """Return tensors with a prefix before their names."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def below(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors of a prefix, without it in their names."""
    start = f"{prefix}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _start(path: Path) -> bytes:
    """Return a file's first 8 bytes, the length of its header, or raise ValueError.

    What is no file may never end, or wait for another process, so it is not even opened.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("expected a file, found a folder, device or pipe")
    # A link within the folder is harmless; one that leaves it may lead to anything.
    if path.is_symlink() and path.resolve().parent != path.parent.resolve():
        raise ValueError("expected a file of this folder, found a link out of it")
    if is_hollow(status):
        raise ValueError(f"expected {status.st_size} bytes, found {512 * status.st_blocks}")
    with path.open("rb") as file:
        start = file.read(8)
    if excess := _excess(start):  # before the library reads it
        raise ValueError(excess)
    return start


def _excess(start: bytes, tensors: int = 0, facts: str = "") -> str:
    """Say which part of a header, of the length in its first bytes, has more than is read."""
    found = {
        "bytes of names and facts": (int.from_bytes(start, "little"), _HEADER),
        "tensors": (tensors, _TENSORS),
        "lists of facts": (facts.count("[") + facts.count("{"), _NESTS),
    }
    for what, (count, most) in found.items():
        if count > most:
            return f"expected at most {most} {what}, found {count}"
    return ""


def _digest(tensors: Tensors, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
