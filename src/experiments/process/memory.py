"""How much memory a device has left, the processor's for one, and the most that was in use."""

import ctypes
import resource
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil
import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_LARGEST = 2**30  # bytes of a block that the process keeps once it is free


@cache
def keep_freed() -> None:
    """Let the process keep memory that it frees, for the next tensor of that size.

    glibc gives blocks of several megabytes back at once, and each is mapped anew, page by page: of
    a step of a large model on the processor that is up to three quarters of the time.
    """
    with suppress(AttributeError, OSError):  # of another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _LARGEST)


def free(device: torch.device) -> float:
    """Return the bytes that are free, on a device or for this process."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = float(psutil.virtual_memory().available)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        free = min(free, limit - psutil.Process().memory_info().vms)
    return max(free, 0.0)


def forget_peak(device: torch.device) -> float:
    """Forget the most that was in use, and return the bytes that are."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return float(torch.cuda.memory_allocated(device))
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux resets VmHWM
    return float(psutil.Process().memory_info().rss)


def peak(device: torch.device) -> float:
    """Return the most bytes that were in use."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
