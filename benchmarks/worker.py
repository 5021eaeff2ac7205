"""A process that does one contender's steps: each line of input is a number of steps.

Started as `python -m benchmarks.worker CONTENDER WORK THREADS ROOT`. It answers in lines of JSON:
`ready` (seconds of preparing) or `missing` (a module that is not installed), then `seconds` for
each number of steps.
"""

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TextIO

from benchmarks.work import WORKS


def main(contender: str, work: str, threads: int, root: Path) -> None:
    """Prepare the contender, then take as many steps as each line says."""
    _limit(threads)
    answers = _claim_output()
    try:
        module = import_module(f"benchmarks.contenders.{contender}")
    except ModuleNotFoundError as error:
        return _answer(answers, missing=error.name)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)

    from benchmarks.data import read  # numpy reads the limits when it is imported

    data = read(root, "train")
    start = time.perf_counter()
    take = module.prepare(WORKS[work], data)
    _answer(answers, ready=time.perf_counter() - start)
    for line in sys.stdin:
        start = time.perf_counter()
        take(int(line))
        _answer(answers, seconds=time.perf_counter() - start)
    return None


def _limit(threads: int) -> None:
    """Keep every library to as many threads; they read these when they are imported."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    eigen = str(threads > 1).lower()
    os.environ["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    )
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # the first call compiles, always
    if sys.platform == "linux":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _claim_output() -> TextIO:
    """Return the standard output, and send what libraries print to the standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def _answer(answers: TextIO, **fields: float | str | None) -> None:
    print(json.dumps(fields), file=answers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
