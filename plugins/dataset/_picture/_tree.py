"""List the files of a folder whose links may lead anywhere."""

import os
from collections.abc import Iterator
from pathlib import Path

from experiments import DataError
from plugins.dataset import _paths

_HIDDEN = (".", "__MACOSX")  # beginnings of names


class Tree:
    """What lies below a folder and is not hidden; links out of it are followed or refused."""

    def __init__(self, root: Path, *, follow: bool) -> None:
        self.root, self._follow = root, follow

    def listed(self, folder: Path) -> list[Path]:
        """Return what lies in a folder, sorted; raise DataError where a link is refused."""
        try:
            paths = sorted(path for path in folder.iterdir() if not path.name.startswith(_HIDDEN))
        except OSError as error:
            raise DataError(f"{folder}: cannot be read: {error.strerror}.") from error
        for path in paths:
            self.enclose(path)
        return paths

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files below a folder, and below links to folders, but in no circle."""
        real = Path(os.path.realpath(folder))
        seen, pending = {real, *real.parents}, [folder]
        while pending:
            for path in self.listed(pending.pop()):
                if not path.is_dir():
                    yield path
                elif (place := Path(os.path.realpath(path))) not in seen:
                    seen.add(place)
                    pending.append(path)

    def enclose(self, path: Path) -> None:
        """Raise DataError where a path is a link that is not to be followed."""
        if not self._follow and _paths.leaves(path, self.root):
            raise DataError(
                f"{path}: expected a file or folder of {self.root}, found a link out of it; "
                "dataset.links=follow follows it."
            )
