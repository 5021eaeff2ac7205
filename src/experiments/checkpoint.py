"""Checkpoints: one plain safetensors file with a checksum, written whole or not at all."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from experiments.errors import DataError
from experiments.records import Tensors


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts so that a crash leaves the old file or the new one.

    The metadata holds the facts and one SHA-256 of them and of the tensors' names, shapes and
    bytes.
    """
    dense = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(facts)
    metadata = {"facts": text, "sha256": _digest(dense, text)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(serialise(dense, metadata))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)  # a full disk needs the room
        raise
    part.replace(path)
    _sync_folder(path.parent)


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Return a checkpoint's tensors and facts; raise DataError where it is absent or damaged."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["facts"]
        facts = json.loads(text)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} is no readable checkpoint: {error}.") from error
    if metadata.get("sha256") != _digest(tensors, text):
        raise DataError(f"{path} is damaged: its content does not fit its checksum.")
    return tensors, facts


def _digest(tensors: Tensors, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
