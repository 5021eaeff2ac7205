"""Faults at the N-th operation on files: an error, a disk that is gone, the end of the process."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import pytest

CRASHED = 77  # the exit status of a process that ends in the midst of an operation
_CALLS = ("mkdir", "open", "fsync", "replace", "unlink", "close")


class Fault(Enum):
    """What happens at the operation; half of what is written there is written.

    From an unbuffered file the system tells that as a short count, without an error.
    """

    error = "it fails, and the next ones do not"
    gone = "it fails, and so do all that follow"
    crash = "the process ends"


class Injector:
    """Counts operations on files, and lets the fault happen at the one of a number."""

    def __init__(self, at: int, fault: Fault) -> None:
        self._at, self._fault = at, fault
        self.operations: list[str] = []

    @property
    def is_reached(self) -> bool:
        """Whether there were so many operations."""
        return len(self.operations) >= self._at

    def meets(self, operation: str) -> bool:
        """Count an operation, and say whether it is to fail."""
        self.operations.append(operation)
        count = len(self.operations)
        return count == self._at or (self._fault is Fault.gone and count > self._at)

    def fail(self) -> None:
        """Let the operation fail."""
        if self._fault is Fault.crash:
            os._exit(CRASHED)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def shortens(self, file: Any) -> bool:
        """Say whether half a write is told by a count."""
        return self._fault is not Fault.crash and isinstance(file, io.FileIO)


class _File:
    """A file whose operations are counted."""

    def __init__(self, file: Any, injector: Injector) -> None:
        self._file, self._injector = file, injector

    def write(self, content: bytes) -> int:
        if self._injector.meets("write"):
            written = self._file.write(content[: len(content) // 2])
            self._file.flush()
            if self._injector.shortens(self._file):
                return int(written)
            self._injector.fail()
        return int(self._file.write(content))

    def flush(self) -> None:
        self._counted("flush", self._file.flush)

    def truncate(self, size: int | None = None) -> int:
        return int(self._counted("truncate", lambda: self._file.truncate(size)))

    def close(self) -> None:
        if not self._file.closed:
            met = self._injector.meets("close")
            self._file.close()
            if met:
                self._injector.fail()

    def _counted(self, name: str, call: Callable[[], Any]) -> Any:
        if self._injector.meets(name):
            self._injector.fail()
        return call()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def injected(at: int, fault: Fault) -> Iterator[Injector]:
    """Let the fault happen within, at the operation of a number from 1."""
    injector = Injector(at, fault)

    def counted(name: str) -> Callable[..., Any]:
        call = getattr(os, name)

        def operation(*arguments: Any, **more: Any) -> Any:
            met = injector.meets(name)
            if name == "close" or not met:
                result = call(*arguments, **more)  # what cannot be closed is closed all the same
            if met:
                injector.fail()
            return result

        return operation

    plain = io.open

    def opened(path: Any, mode: str = "r", *arguments: Any, **more: Any) -> Any:
        if mode.strip("b+") == "r" and "+" not in mode:
            return plain(path, mode, *arguments, **more)
        if injector.meets("open"):
            injector.fail()
        return _File(plain(path, mode, *arguments, **more), injector)

    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, counted(name))
        patch.setattr(io, "open", opened)
        yield injector
