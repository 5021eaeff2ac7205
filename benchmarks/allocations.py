"""What steps take of the memory, counted by torch's profiler."""

import json
import os
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from torch.profiler import ProfilerActivity, profile

from benchmarks.work import Take

_STEPS = 3  # the profiler does not see what the first frees of earlier ones


def peak(take: Take) -> int:
    """Return the most bytes that tensors on the CPU take in a step beyond those between steps."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it tells when it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        take(_STEPS)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes: list[int] = [event["args"]["Bytes"] for event in events if event["name"] == "[memory]"]
    return max(accumulate(changes), default=0) - sum(changes)
