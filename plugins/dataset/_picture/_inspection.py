"""Look at image files before they are used: what items they make, and which are no images."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from experiments import DataError
from plugins.dataset._picture import _imagefile, _pixels

_SHARE = 0.5  # of the free memory that decoded images may take
_THREADS = 8  # each has an image in memory
_WAITING = 1024  # tasks for them
_NAMED = 3  # files in a message


class Inspection(NamedTuple):
    """What was found of image files.

    `form` is that of their items, which are `resident` where they fit in memory; `broken` are the
    files that are no images, and are to be left out; `notes` are for the user.
    """

    form: _pixels.Form
    resident: bool
    broken: frozenset[str]
    notes: tuple[str, ...]


def inspect(
    files: Sequence[str], form: _pixels.Form, *, root: Path, resident: bool, skip: bool
) -> Inspection:
    """Look at files' first bytes, and decode them all where broken ones are to be skipped.

    Raises DataError where some are broken and are not to be skipped.
    """
    heads: list[_imagefile.Head] = []
    broken = each(files, lambda index: heads.append(_imagefile.head(Path(files[index]))))
    deep, animated = sum(head.deep for head in heads), sum(head.animated for head in heads)
    if deep:
        form = dataclasses.replace(form, dtype=torch.float32)
    free = psutil.virtual_memory().available
    resident = resident and len(files) * form.nbytes <= _SHARE * free
    if skip or (broken and resident):  # all of them are told at once
        rest = [file for file in files if file not in broken]
        broken |= each(rest, lambda index: _pixels.decode(Path(rest[index]), form))
    if broken and not skip:
        raise refusal(broken, len(files), root)
    more = [_shown(os.path.relpath(file, root)) for file in broken][_NAMED:]
    notes = {
        f"{_told(broken, len(files), root)}, and are left out": broken,
        f"left out, too: {', '.join(more)}": more,
        f"images with greys of more than 8 bits, which are scaled to 0 to 255: {deep}": deep,
        f"images with several frames, of which the first is taken: {animated}": animated,
    }
    told = tuple(note for note, found in notes.items() if found)
    return Inspection(form, resident, frozenset(broken), told)


def each(files: Sequence[str], work: Callable[[int], object]) -> dict[str, str]:
    """Call `work` with the index of each file, in threads; return why it failed for some."""
    reasons: dict[int, str] = {}

    def attempt(index: int) -> None:
        try:
            work(index)
        except DataError as error:
            reasons[index] = str(error).removeprefix(f"{files[index]}: ").removesuffix(".")

    with warnings.catch_warnings():  # outside of the threads, which share the filters
        warnings.simplefilter("ignore")  # about odd metadata, without the file's name
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            for tasks in torch.arange(len(files)).split(_WAITING):
                list(pool.map(attempt, tasks.tolist()))
    return {files[index]: reasons[index] for index in sorted(reasons)}


def refusal(broken: dict[str, str], total: int, root: Path) -> DataError:
    """Return the error that some of so many images cannot be read, and why the first cannot."""
    return DataError(f"{_told(broken, total, root)}; dataset.broken=skip goes on without them.")


def _told(broken: dict[str, str], total: int, root: Path) -> str:
    # The first by its whole name, which says where the others are.
    names = [os.path.relpath(file, root) if place else file for place, file in enumerate(broken)]
    named = [f"{_shown(name)} ({why})" for name, why in zip(names, broken.values(), strict=True)]
    return f"{len(broken)} of {total} images cannot be read: {', '.join(named[:_NAMED])}"


def _shown(name: str) -> str:
    """Return a name on one line: a file may be called anything."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
