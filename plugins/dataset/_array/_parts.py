"""Find which arrays of a file are the inputs and the targets, of all items or of a split."""

import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from experiments import ConfigError, DataError, options
from plugins.dataset import _split
from plugins.dataset._array._archive import Archive

_NAMES = {
    "inputs": ("inputs", "x", "images", "data", "features"),
    "targets": ("targets", "y", "labels", "target"),
}
Pair = tuple[str, str]  # the names of inputs and targets


def find(archive: Archive, asked: Mapping[str, str | None]) -> dict[str, Pair]:
    """Return the arrays of each split that has its own, or those of all items as train's.

    `asked` has the names of inputs and targets that the user gave, without the name of a split.
    Raises ConfigError where there are no such arrays, and DataError where none can be told.
    """
    names = {role: (name,) if name else _NAMES[role] for role, name in asked.items()}
    found: dict[str, Pair] = {}
    for split, words in [
        ("train", ()),
        *_split.NAMES.items(),
    ]:  # train's own instead of those of all
        inputs, targets = (_first(archive.shapes, _forms(names[role], words)) for role in names)
        if inputs and targets:
            found[split] = inputs, targets
        elif words and (alone := inputs or targets):
            raise DataError(f"{archive.path}: expected inputs and targets, found {alone} alone.")
    if "train" not in found:
        raise _absent(archive, asked)
    return found


def _forms(names: Sequence[str], words: Sequence[str]) -> Iterator[str]:
    """Yield the ways to name an array of a split, or where there are no words for it, of all."""
    for name in names:
        for word in words:
            yield from (f"{word}_{name}", f"{name}_{word}")
        if not words:
            yield name


def _first(arrays: Collection[str], forms: Iterable[str]) -> str | None:
    """Return the first name that is an array's; small and capital letters are the same."""
    known = {name.lower(): name for name in arrays} | {name: name for name in arrays}
    return next(
        (known[way] for form in forms for way in (form, form.lower()) if way in known), None
    )


def _absent(archive: Archive, asked: Mapping[str, str | None]) -> Exception:
    for role, name in asked.items():
        if name and name not in archive.shapes:
            return ConfigError(
                f"dataset.{role}={name}: {archive.path} has no such array; "
                f"{options(name, archive.shapes)}"
            )
    arrays = ", ".join(f"{name} {[*shape]}" for name, shape in archive.shapes.items())
    found = textwrap.shorten(arrays, 200) or "none"
    return DataError(
        f"{archive.path}: expected arrays inputs and targets (or x and y, images and labels), "
        f"found {found}; dataset.inputs=NAME and dataset.targets=NAME name them."
    )
