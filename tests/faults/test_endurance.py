"""Many runs in one process leave nothing behind: no memory, no descriptor, no thread."""

import gc
import threading
from pathlib import Path

import psutil
import pytest
import scenes
from composed import ROOT

from experiments.cli import main

SMALL = [*scenes.QUICK, "dataset=synthetic", "dataset.items=100", "max_steps=3"]


@pytest.mark.whole
def test_runs_in_one_process_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = psutil.Process()

    def taken() -> tuple[float, int, int]:
        gc.collect()
        return (
            process.memory_info().rss / 1e6,
            process.num_fds(),
            threading.active_count(),
        )

    for _ in range(20):  # what the first runs load and set aside stays
        assert main.command(ROOT, [*SMALL, f"output={tmp_path}"]) == 0
    before = taken()
    for _ in range(200):
        assert main.command(ROOT, [*SMALL, f"output={tmp_path}"]) == 0
        capsys.readouterr()
    memory, descriptors, threads = taken()
    assert descriptors <= before[1]
    assert threads <= before[2]
    assert memory <= before[0] + 5, (before, memory)
