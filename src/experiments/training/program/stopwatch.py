"""Whether a program is worth making: what that takes, and what it saves."""

import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

log = logging.getLogger(__name__)

_COUNTED = 5
_FIRST = 2  # are slower, and not counted


class Stopwatch:
    """Takes the time of the first few steps, or calls of several steps."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._samples: list[float] = []

    @property
    def is_done(self) -> bool:
        """Whether enough times are taken."""
        return len(self._samples) == _FIRST + _COUNTED

    @property
    def seconds(self) -> float:
        """The median seconds of a step."""
        return statistics.median(self._samples[_FIRST:])

    @contextmanager
    def timing(self, n: int) -> Iterator[None]:
        """Take the time of `n` steps, for which a GPU is waited for."""
        if self.is_done:
            yield
            return
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self._samples.append((time.perf_counter() - start) / n)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def tell(one_by_one: Stopwatch, program: Stopwatch, *, making: float, left: int) -> None:
    """Log what a program saves of the `left` steps, against the seconds of `making` it."""
    if not one_by_one.is_done:  # of a run that goes on, no step may be taken one by one
        log.info("program  a step takes %.3g ms", program.seconds * 1e3)
        return
    saved = one_by_one.seconds - program.seconds
    each = f"{program.seconds * 1e3:.3g} ms instead of {one_by_one.seconds * 1e3:.3g} ms"
    if saved <= 0:
        log.info("program  a step takes %s: it does not pay here", each)
    elif saved * left < making:
        log.info("program  a step takes %s: it pays from %.0f steps on", each, making / saved)
    else:
        log.info("program  a step takes %s", each)
