"""What a sweep says of itself on the console."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.process.secrecy import clean

_SHOWN = 8  # sizes of groups


def division(count: int, known: int, sizes: Sequence[int], alone: Mapping[int, str]) -> None:
    """Say what trains together, and why the rest does not."""
    shown = " + ".join(map(str, sizes[:_SHOWN])) + (" + ..." if len(sizes) > _SHOWN else "")
    lanes = f" ({shown} lanes)" if sizes else ""
    there = f", {known} there already" if known else ""
    group = "group" if len(sizes) == 1 else "groups"
    print(f"{count} jobs -> {len(sizes)} {group}{lanes}, {len(alone)} alone{there}", flush=True)
    for reason, number in Counter(reason for reason in alone.values() if reason).items():
        print(f"  {number} alone: {reason}", flush=True)


def time(jobs: int, training: float, hydra: float, *, mlflow: float, all_in_all: float) -> None:
    """Say what the jobs took beside the steps of training."""
    jobs = max(1, jobs)
    page = all_in_all - training - hydra
    print(
        f"time     training {training:.1f} s; Hydra, files and evaluations {hydra:.1f} s "
        f"({1e3 * hydra / jobs:.0f} ms a job); the sweep's page {page:.1f} s; waiting for MLflow "
        f"{mlflow:.1f} s ({1e3 * mlflow / jobs:.0f} ms a job)",
        flush=True,
    )


def failures(reasons: Mapping[int, str], count: int) -> None:
    if lines := [f"  #{number} {clean(text)}" for number, text in sorted(reasons.items())]:
        print(f"error: {len(lines)} of {count} jobs failed:", *lines, sep="\n", file=sys.stderr)
