"""Rounds of one process in which functions take turns: what disturbs one disturbs them all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.work import Take


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds a step of each round: those that passed, and those of the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def run(takes: Mapping[str, Take], *, rounds: int, turn: float) -> dict[str, Times]:
    """Return the times of functions that take steps, in turns of about so many seconds."""
    times = {name: Times() for name in takes}
    steps = {name: _steps(take, turn) for name, take in takes.items()}
    order = list(takes)
    for _ in range(rounds):
        for name in order:
            wall, cpu = _timed(takes[name], steps[name])
            times[name].wall.append(wall)
            times[name].cpu.append(cpu)
        order = order[1:] + order[:1]
    return times


def ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return each round's ratio."""
    return [a / b for a, b in zip(times, others, strict=True)]


def _steps(take: Take, turn: float) -> int:
    """Count the steps of a turn, after the first ones, which are slower."""
    take(3)
    return max(1, round(turn / min(_timed(take, 1)[0] for _ in range(3))))


def _timed(take: Take, steps: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    take(steps)
    return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
