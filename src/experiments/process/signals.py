"""Signals that end a command: between two steps while it trains, elsewhere at once.

A second one ends the process without waiting for anything.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from experiments.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _State:
    received: int | None = None
    waiting: bool = False  # for `check` to raise
    command: bool = False  # whether there is a command that tells of an interruption


_state = _State()


def install() -> None:
    """Take over the signals that end a process, but those that it was started to ignore."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


@contextmanager
def raised() -> Iterator[None]:
    """Raise Interrupted where a signal arrives within; before and after it ends the process."""
    _state.command, _state.received = True, None
    try:
        yield
    finally:
        _state.command = False


@contextmanager
def deferred() -> Iterator[None]:
    """Leave a signal within to `check`, so that no step is torn; raise at the end what is left."""
    _state.waiting = True
    try:
        yield
    finally:
        _state.waiting = False
    check()


def check() -> None:
    """Raise Interrupted where a signal has arrived."""
    if _state.received is not None:
        raise Interrupted(_state.received)


def has_arrived() -> bool:
    """Say whether `check` would raise."""
    return _state.received is not None


def leave_to_parent(_: int) -> None:
    """Let a loader's worker outlast what is sent to its whole group, as its parent waits for it.

    A parent that gives it up sends a second SIGTERM, which ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_next_time)


def _end_next_time(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)


def _receive(number: int, _: FrameType | None) -> None:
    if _state.received is not None or not _state.command:
        os._exit(128 + number)
    _state.received = number
    if not _state.waiting:
        raise Interrupted(number)
