"""What can go wrong for a user, each with the exit status of the command that met it."""

import difflib
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


class ExperimentError(Exception):
    """Stop a run with one clear message."""

    status = 1


class ConfigError(ExperimentError):
    """A wrong option, key or value, or a combination that cannot work."""

    status = 2


class UnsafeError(ConfigError):
    """A setting that could run code or tell a secret: its command does nothing, not even a part."""


class DivergedError(ExperimentError):
    """A number that counts and is not finite after step `t`."""

    status = 3

    def __init__(self, message: str, t: int) -> None:
        super().__init__(message)
        self.t = t


class DataError(ExperimentError):
    """A data set or checkpoint that is missing or damaged."""

    status = 4


class StorageError(ExperimentError):
    """A place to write to that is full or may only be read."""

    status = 5


class FullError(StorageError):
    """A disk that takes nothing more, which stops whatever else would write to it."""


class CaptureError(ExperimentError):
    """A program that cannot be captured or compiled whole; the run goes on without it."""


class Interrupted(BaseException):
    """A signal that ends the command: its exit status is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.status = 128 + number


def is_out_of_memory(error: Exception) -> bool:
    """Say whether an error is that of a processor's or a device's memory being too small."""
    return isinstance(error, MemoryError) or any(part in str(error) for part in _OUT_OF_MEMORY)


@contextmanager
def without_exit() -> Iterator[None]:
    """Raise what would end Python, as a plugin may by `sys.exit`, as an error of its run."""
    try:
        yield
    except (Exception, Interrupted, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        call = f"sys.exit({error.code!r}) was called" if isinstance(error, SystemExit) else ""
        told = RuntimeError(call or f"{type(error).__name__}: {error}")
        raise told.with_traceback(error.__traceback__) from None


def options(got: str, allowed: Iterable[str]) -> str:
    """Phrase what is allowed instead of `got`, the nearest name first."""
    names = sorted(set(allowed))
    close = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Allowed: {', '.join(names) if names else 'none'}."
