"""Options of the command line that several benchmarks have."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Collection


def some_of(allowed: Collection[str]) -> Callable[[str], list[str]]:
    """Return what takes names apart that stand between commas, and refuses others."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in allowed:
                raise ArgumentTypeError(f"{name}: expected some of {', '.join(allowed)}")
        return names

    return parse


def count(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)
