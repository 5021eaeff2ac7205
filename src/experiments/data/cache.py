"""Splits that have been read once: a later run maps them from one file, as they were decoded.

A file is used only while the data set's settings, its code, and the files of its source are the
ones it was made of.
"""

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as Items

from experiments import tensorfile
from experiments.data import checks, doubts
from experiments.errors import DataError
from experiments.plugin import registry
from experiments.plugin.description import describe, describe_spec, restore_spec
from experiments.plugin.kinds import Dataset
from experiments.plugin.spec import Splits, Tensors

_LEAST = 2**22  # bytes: smaller ones are read as fast from their source
_TOLD = ("source", "files", "optimum", "reason", "notes", "warnings")  # of splits, beside the items
_SHARE = 0.5  # of the free memory that decoded items may take


def load_splits(dataset: Dataset, folder: Path, *, keep: bool, workers: int = 0) -> Splits:
    """Return the splits, from the file in `folder` where it is valid; if `keep`, make one.

    Items that are the same at each reading are decoded, by so many `workers`, where they fit in
    memory. Raises DataError where data is missing or damaged.
    """
    path = folder / f"{registry.name_of(type(dataset))}-{_key(dataset)}.safetensors"
    code = _code(dataset)
    if splits := _kept(path, code):
        return splits
    splits = checks.checked(dataset.load(), dataset)
    if dataset.resident and splits.fixed:
        splits = _decoded(splits, workers)
    splits = doubts.judged(splits)
    if keep and dataset.resident:
        _keep(path, splits, code)
    return splits


def _kept(path: Path, code: str) -> Splits | None:
    try:
        tensors, facts = tensorfile.load(path)
        told = {name: facts[name] for name in _TOLD}
        told |= {name: tuple(told[name]) for name in ("files", "notes", "warnings")}
        if facts["code"] != code or facts["digest"] != _digest(facts["source"], *facts["files"]):
            return None
        train, val, test = (
            TensorDataset(tensors[f"{stored}/inputs"], tensors[f"{stored}/targets"])
            for stored in facts["stored"]
        )
        spec = restore_spec(facts["spec"], tensors)
    except (DataError, AssertionError, LookupError, TypeError, ValueError):
        return None  # there is none, or it holds something else, and is made again
    return Splits(spec=spec, train=train, val=val, test=test, **told)


def _keep(path: Path, splits: Splits, code: str) -> None:
    parts = splits.parts
    # Where val is the test split, its items are stored once.
    stored = [next(name for name in parts if parts[name] is items) for items in parts.values()]
    tensors: Tensors = {}
    for split, items in parts.items():
        if not isinstance(items, TensorDataset):
            return
        if split in stored:
            tensors[f"{split}/inputs"], tensors[f"{split}/targets"] = items.tensors
    digest = _digest(splits.source, *splits.files) if splits.source else ""
    if not digest or sum(tensor.nbytes for tensor in tensors.values()) < _LEAST:
        return
    facts, of_spec = describe_spec(splits.spec)
    own = {"code": code, "digest": digest, "stored": stored, "spec": facts}
    told = {name: getattr(splits, name) for name in _TOLD}
    try:
        tensorfile.save(path, tensors | of_spec, own | told)
    except OSError as error:
        warnings.warn(f"{path.parent} keeps no copy of the data: {error.strerror}.", stacklevel=2)


def _key(dataset: Dataset) -> str:
    settings = describe(dataset) | {"resident": True}
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def _code(dataset: Dataset) -> str:
    """Return a digest of the plugin's folder, whose modules help each other, as those in `_*/`."""
    digest = hashlib.sha256(registry.code_of(type(dataset)))
    folder = Path(registry.source(type(dataset))).parent
    for file in sorted([*folder.glob("*.py"), *folder.glob("_*/*.py")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _digest(*sources: str) -> str:
    """Return a digest of the files' names, sizes and times; nothing where there are none."""
    found = []
    for file in chain.from_iterable(_below(Path(source)) for source in sources):
        try:
            stat = file.stat()
        except OSError:  # a link that leads nowhere, or a file that has just gone
            continue
        found.append([str(file), stat.st_size, stat.st_mtime_ns])
    # A list of them all would be too long for the file, of a folder with 40,000 images.
    return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest() if found else ""


def _below(source: Path) -> Iterator[Path]:
    """Yield a file, or those below a folder, and below links to folders but not in circles."""
    if source.is_file():
        yield source
    visited: set[str] = set()
    for folder, folders, names in os.walk(source, followlinks=True):
        visited.add(os.path.realpath(folder))
        folders[:] = [f for f in folders if os.path.realpath(Path(folder, f)) not in visited]
        yield from (Path(folder, name) for name in names)


def _decoded(splits: Splits, workers: int) -> Splits:
    """Read every item into tensors, where there is room for them all."""
    parts: list[Any] = [*splits.parts.values()]
    inputs, _ = splits.train[0]
    size = sum(map(len, parts)) * torch.as_tensor(inputs).nbytes
    if size > _SHARE * psutil.virtual_memory().available:
        return splits
    train, val, test = (TensorDataset(*_read(items, workers)) for items in parts)
    return dataclasses.replace(splits, train=train, val=val, test=test)


def _read(items: Items[Any], workers: int) -> tuple[Tensor, Tensor]:
    loader = DataLoader(items, batch_size=64, num_workers=workers, generator=torch.Generator())
    inputs, targets = (torch.cat(parts) for parts in zip(*loader, strict=True))
    if isinstance(items, checks.Checked):
        items.check(inputs, targets, range(len(inputs)))
    return inputs, targets
