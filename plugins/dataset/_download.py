"""Download a data set through torchvision."""

import textwrap
from pathlib import Path
from typing import Any

from experiments import DataError


def fetch(name: str, root: Path, *, lack: str, download: bool, **options: Any) -> None:
    """Let torchvision's class `name` download, check and unpack its files below `root`.

    `lack` says what is missing. Raises DataError where downloading is not wanted or fails.
    """
    if not download:
        raise DataError(
            f"{lack}; set dataset.download=true, or dataset.root=... to a folder that has it."
        )
    from torchvision import datasets

    try:
        getattr(datasets, name)(root, download=True, **options)
    except Exception as error:  # of sockets, archives, file systems and torchvision
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise DataError(
            f"{lack} and could not be downloaded ({textwrap.shorten(reason, 100)}); "
            "set dataset.root=... to a folder that has it."
        ) from error
