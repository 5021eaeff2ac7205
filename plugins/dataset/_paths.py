"""Find files and folders that a user names, and refuse what is no plain file."""

from pathlib import Path

from experiments import DataError

# Holes in a file cost nothing to make, and memory to read: so many times what is on the disk, where
# it is more than so many bytes.
_DENSEST, _HARMLESS = 100, 2**25


def locate(name: str, *parts: str) -> Path:
    """Return the path of `parts` below `name`, whose `~` is the user's home.

    Raises DataError where there can be no such path, or it may not be looked at.
    """
    try:
        path = Path(name).expanduser().joinpath(*parts)
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{name}: cannot be looked at: {error}.") from error
    return path


def size(path: Path, *, most: int, within: Path | None = None) -> int:
    """Return a file's number of bytes; raise DataError where it has more than `most`.

    A device or a pipe is refused, which might never end, and a link that leads out of the folder
    `within`, which may lead to anything.
    """
    try:
        if within is not None and leaves(path, within):
            raise DataError(f"{path}: expected a file of this folder, found a link out of it.")
        if not path.is_file():
            raise DataError(f"{path}: expected a file, found none.")
        status = path.stat()
        found, stored = status.st_size, status.st_blocks * 512  # 0 where it is not told
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from error
    if found > most:
        raise DataError(f"{path}: expected at most {most} bytes, found {found}.")
    if 0 < stored < found // _DENSEST and found > _HARMLESS:
        raise DataError(f"{path}: expected {found} bytes, found {stored} and holes.")
    return found


def leaves(path: Path, folder: Path) -> bool:
    """Say whether a path is a link that leads out of a folder."""
    try:
        return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())
    except RuntimeError:  # a link that leads to itself
        return True
