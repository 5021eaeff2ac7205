"""The contenders, one a file; each offers `prepare(work, data)`, which returns a `Take`."""

from pathlib import Path


def names() -> list[str]:
    """List the contenders, which are the files of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
