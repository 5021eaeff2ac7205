"""How much memory a device has left, the processor's for one, and the most that was in use."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch


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
