"""What a sweep says of itself on the console."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.errors import DivergedError
from experiments.process.secrecy import clean, message
from experiments.runs.result import Result
from experiments.text import rounded

_SHOWN = 8  # sizes of groups


def division(count: int, known: int, sizes: Sequence[int], alone: Mapping[int, str]) -> None:
    """Say what may train together, and why the rest may not."""
    there = f", {known} there already" if known else ""
    print(f"{count} jobs -> {_grouped(sizes)}, {len(alone)} alone{there}", flush=True)
    for reason, number in Counter(reason for reason in alone.values() if reason).items():
        print(f"  {number} alone: {reason}", flush=True)


def lanes(sizes: Sequence[int], reason: str) -> None:
    """Say in how many lanes the jobs of a group train, where these are fewer than the jobs."""
    if sizes and max(sizes) == 1:
        print(f"  {len(sizes)} alone: {reason}", flush=True)
    elif len(sizes) > 1:
        why = f": {reason}" if reason else ""
        print(f"  {sum(sizes)} jobs -> {_grouped(sizes)}{why}", flush=True)


def outcome(name: str, result: Result | Exception, seconds: float) -> None:
    """Say how a job ended."""
    if isinstance(result, Result):
        told = f"{result.monitor} {rounded(result.value)}"
    elif isinstance(result, DivergedError):
        told = f"diverged: {result}"
    else:
        told = f"failed: {message(result)}"
    print(f"{name}: {told} ({seconds:.1f} s)", flush=True)


def time(count: int, training: float, jobs: float, *, page: float, mlflow: float) -> None:
    """Say what the jobs took beside training, and what the sweep took beside the jobs."""
    count, rest = max(1, count), max(0.0, jobs - training)
    print(
        f"time     training {training:.1f} s; Hydra and files {rest:.1f} s "
        f"({1e3 * rest / count:.0f} ms a job); the sweep's page {page:.1f} s; waiting for MLflow "
        f"{mlflow:.1f} s ({1e3 * mlflow / count:.0f} ms a job)",
        flush=True,
    )


def failures(reasons: Mapping[int, str], count: int) -> None:
    """Say which jobs failed, and why."""
    if lines := [f"  #{number} {clean(text)}" for number, text in sorted(reasons.items())]:
        print(f"error: {len(lines)} of {count} jobs failed:", *lines, sep="\n", file=sys.stderr)


def _grouped(sizes: Sequence[int]) -> str:
    shown = " + ".join(map(str, sizes[:_SHOWN])) + (" + ..." if len(sizes) > _SHOWN else "")
    lanes = f" ({shown} lanes)" if sizes else ""
    return f"{len(sizes)} {'group' if len(sizes) == 1 else 'groups'}{lanes}"
