"""What can go wrong for a user, each with the exit status of the command that met it."""

import difflib
from collections.abc import Iterable


class ExperimentError(Exception):
    """Stop a run with one clear message."""

    status = 1


class ConfigError(ExperimentError):
    """A wrong option, key or value, or a combination that cannot work."""

    status = 2


class DivergedError(ExperimentError):
    """A loss that is not finite."""

    status = 3


class DataError(ExperimentError):
    """A data set or checkpoint that is missing or damaged."""

    status = 4


class StorageError(ExperimentError):
    """A place to write to that is full or may only be read."""

    status = 5


class CaptureError(ExperimentError):
    """A program that cannot be captured or compiled whole; the run goes on without it."""


class Interrupted(BaseException):
    """A signal that ends the command: its exit status is 128 and the signal's number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.status = 128 + signal


def options(got: str, allowed: Iterable[str]) -> str:
    """Phrase what is allowed instead of `got`, the nearest name first."""
    names = sorted(set(allowed))
    close = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Allowed: {', '.join(names) if names else 'none'}."
