"""Runs of earlier commands whose upload was cut off, by a crash or a store that was absent."""

import os
from collections.abc import Iterator
from pathlib import Path

from experiments.errors import DataError
from experiments.runs import journal
from experiments.tracking import positions


def cut_off(root: Path, store: str, own: Path) -> Iterator[Path]:
    """Yield such runs and jobs of sweeps below an output folder; `own` is another's business.

    A run that lives, one that was never meant for this store, and one whose folder was brought
    here from elsewhere are none of them: nobody has asked for those.
    """
    for pattern in (f"*/{positions.FILE}", f"*/*/{positions.FILE}"):
        for file in sorted(root.glob(pattern)):
            folder = file.parent
            if not folder.is_relative_to(own) and _is_left(folder, store):
                yield folder


def _is_left(folder: Path, store: str) -> bool:
    try:
        if folder.stat().st_uid != os.getuid():  # where the output folder is everybody's
            return False
        position = positions.recorded(folder, store)
        if position is None or not positions.is_own(folder, store) or journal.is_held(folder):
            return False
        news = journal.read(folder / journal.FILE, position.offset)
        return not position.ended or next(news, None) is not None
    except (OSError, DataError):
        return False
