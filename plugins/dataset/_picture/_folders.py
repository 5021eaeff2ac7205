"""Find the images of a folder that has a folder for each class, or such a folder for each split."""

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from experiments import DataError, options
from plugins.dataset import _split
from plugins.dataset._picture import _tree

SUFFIXES = (
    *(".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
Items = list[tuple[str, int]]  # files, each with its class
Others = Counter[str]  # files that are no items, by the ending of their names


def find(tree: _tree.Tree) -> tuple[list[str], dict[str, Items], list[str]]:
    """Return the classes, the items of each split that has a folder, and notes of what is none.

    Without a folder of the train split the whole is its. Raises DataError where there are no two
    classes, a split has no images, or it has a class that train has not.
    """
    others: Others = Counter()
    folders = {split: folder for split in _split.NAMES if (folder := _folder(tree, split))}
    if "train" not in folders:  # so that val and test can only be names of classes
        folders = {"train": tree.root}
    found = {split: _classes(tree, folder, others) for split, folder in folders.items()}
    classes = [*found["train"]]
    if len(classes) < 2:
        raise DataError(_too_few(tree, *found["train"].values()))
    for own in found.values():
        for name, folder in own.items():
            if name not in classes:
                allowed = options(name, classes)
                raise DataError(f"{folder} is no class of the train split; {allowed}")
    items = {split: _items(tree, own, classes, others) for split, own in found.items()}
    return classes, items, _notes(tree, folders, others)


def without(
    broken: Container[str], found: Mapping[str, Items], classes: Sequence[str], root: Path
) -> dict[str, Items]:
    """Leave files out; raise DataError where a class of train, or a split, has no others."""
    left = {
        split: [item for item in items if item[0] not in broken] for split, items in found.items()
    }
    present = {label for _, label in left["train"]}
    lacking = [name for label, name in enumerate(classes) if label not in present]
    lacking += [split for split, items in left.items() if not items]
    if lacking:
        names = textwrap.shorten(", ".join(lacking), 100)
        endings = ", ".join(SUFFIXES)
        raise DataError(f"{root}: expected images of {names}, found none ({endings}).")
    return left


def _notes(tree: _tree.Tree, folders: Mapping[str, Path], others: Others) -> list[str]:
    used = {*folders.values()}
    listed = [] if tree.root in used else tree.listed(tree.root)
    beside = [path.name for path in listed if path.is_dir() and path not in used]
    endings = ", ".join(f"{name or 'none'} ({n})" for name, n in others.most_common(5))
    notes = {
        "folders left out, which are of no split": ", ".join(beside),
        "files left out by the endings of their names": endings,
    }
    return [f"{note}: {textwrap.shorten(found, 100)}" for note, found in notes.items() if found]


def _folder(tree: _tree.Tree, split: str) -> Path | None:
    places = (tree.root / name for name in _split.NAMES[split])
    found = next((place for place in places if place.is_dir()), None)
    # Trains may be a class as well, whose folder has images.
    return found if found and any(map(Path.is_dir, tree.listed(found))) else None


def _classes(tree: _tree.Tree, folder: Path, others: Others) -> dict[str, Path]:
    """Return the folder of each class by its name; raise DataError where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with a folder a class, found none.")
    tree.enclose(folder)
    listed = tree.listed(folder)
    files = Counter(path.suffix.lower() for path in listed if not path.is_dir())
    others.update(files)
    found: dict[str, Path] = {}
    for path in filter(Path.is_dir, listed):
        # A letter with an accent is stored as one character or as two, as the system likes.
        name = unicodedata.normalize("NFC", path.name)
        if name in found or not name.isprintable():
            raise DataError(f"{folder}: expected another name of a class than {name!a}.")
        found[name] = path
    if not found:
        images = sum(files[suffix] for suffix in SUFFIXES)
        beside = f", and {images} images in no such folder" if images else ""
        raise DataError(f"{folder}: expected a folder a class, found none{beside}.")
    return found


def _items(
    tree: _tree.Tree, own: Mapping[str, Path], classes: Sequence[str], others: Others
) -> Items:
    items: Items = []
    for label, name in enumerate(classes):
        for file in sorted(tree.files(own[name])) if name in own else []:
            if file.suffix.lower() in SUFFIXES:
                items.append((str(file), label))
            else:
                others[file.suffix.lower()] += 1
    return items


def _too_few(tree: _tree.Tree, only: Path) -> str:
    """Say that a folder is the only class, and whether it looks like the one to name instead."""
    inner = sum(path.is_dir() for path in tree.listed(only))
    hint = f"; it has {inner} itself, which dataset.root={only} takes" if inner > 1 else ""
    return f"{only.parent}: expected at least 2 folders of a class, found 1, {only.name}{hint}."
