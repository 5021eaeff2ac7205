"""What lies in a run's folder, which may come from anywhere: plain files in it, and no links."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from experiments.errors import DataError
from experiments.tensorfile import is_hollow

_LONGEST = 1000  # characters of a path in a folder


def is_inside(name: object) -> bool:
    """Say whether a text is a path that stays below the folder it is put after, however read."""
    if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST:
        return False
    # A store may be a server, which decodes what is escaped.
    plain = "\\" not in name and ":" not in name and unquote(name) == name
    return plain and all(part.strip() not in ("", ".", "..") for part in name.split("/"))


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read; raise DataError where it is none, or another user's secret.

    Links may lead anywhere, pipes wait for another process: they are not even opened.
    """
    _check(path, path.lstat())
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.fdopen(os.open(path, flags), "rb")
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def text_of(path: Path, most: int) -> str:
    """Return the text of a plain file; raise DataError where it is none, or has too many bytes."""
    with open_plain(path) as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise DataError(f"{path} has more than {most:,} bytes.")
    return found.decode()


def file(folder: Path, name: str) -> Path:
    """Return a plain file that a run's folder names; raise DataError where it is none of it."""
    path = _found(folder, name)
    _check(path, path.lstat())
    return path


def entries(folder: Path, name: str) -> list[Path]:
    """Return what lies in a folder that a run's folder names, or none of it: plain files alone."""
    path = _found(folder, name)
    if not path.is_dir():
        raise DataError(f"{path} is no folder.")
    check_plain(path)
    return sorted(path.iterdir())


def check_plain(folder: Path) -> None:
    """Raise DataError where a folder holds a link, a pipe or a device, at any depth.

    What is written into such a folder could go anywhere.
    """
    for entry in _below(folder):
        _check(Path(entry.path), entry.stat(follow_symlinks=False))


def _below(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
            else:
                yield entry


def _found(folder: Path, name: str) -> Path:
    """Return what a path below a folder leads to without a link on the way."""
    if not is_inside(name):
        raise DataError(f"{name} is no path in the run's folder.")
    path = folder.resolve()
    for part in name.split("/"):
        path /= part
        try:
            is_link = stat.S_ISLNK(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{name} is not there.") from None
        if is_link:
            raise DataError(f"{path} is a link, which could lead out of the run's folder.")
    return path


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "a folder, device or pipe"
        raise DataError(f"{path} must be a plain file, and is {kind}.")
    if is_hollow(status):
        raise DataError(f"{path} is nearly empty for its {status.st_size:,} bytes.")
