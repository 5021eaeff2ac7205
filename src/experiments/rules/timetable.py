"""What the scheduled numbers of a rule are at each step."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from experiments.plugin.kinds import Schedule
from experiments.plugin.spec import Tensors, Unit
from experiments.rules.axis import Axis
from experiments.rules.numbers import filled, numbers

# Schedules are evaluated for this many steps in one go, which costs microseconds a step less than
# one step at a time.
_BLOCK = 1024


class Timetable:
    """Maps a step to the values of the numbers that a schedule governs.

    `base` holds those numbers, 0-d or [K] in lanes, and `schedules` one plugin a lane for each.
    """

    def __init__(
        self,
        base: Tensors,
        schedules: Mapping[str, Sequence[Schedule]],
        *,
        total_steps: int,
        steps_per_epoch: int,
    ) -> None:
        self._base = base
        self._schedules = schedules
        self._total_steps = total_steps
        self._steps_per_epoch = steps_per_epoch
        self._first = 0
        self._steps: list[tuple[Tensor, Tensors]] = []

    def at(self, t: int) -> tuple[Tensor, Tensors]:
        """Return step `t` as a 0-d tensor, and every scheduled number: 0-d, in lanes [K]."""
        if not 0 <= t - self._first < len(self._steps):
            self._fill(t // _BLOCK * _BLOCK)  # the same blocks wherever a run starts
        return self._steps[t - self._first]

    def _fill(self, first: int) -> None:
        any_number = next(iter(self._base.values()))
        times = torch.arange(
            first, first + _BLOCK, dtype=any_number.dtype, device=any_number.device
        )
        rows = {
            name: self._row(self._base[name], schedules, times).unbind(-1)
            for name, schedules in self._schedules.items()
        }
        self._first = first
        self._steps = [
            (time, dict(zip(rows, values, strict=True)))
            for time, *values in zip(times.unbind(), *rows.values(), strict=True)
        ]

    def _row(self, base: Tensor, schedules: Sequence[Schedule], times: Tensor) -> Tensor:
        values = numbers(schedules, times.device)
        factors = Axis(len(schedules)).map(lambda v: self._factors(schedules[0], v, times))
        row: Tensor = base[..., None] * factors(values)
        return row

    def _factors(self, schedule: Schedule, values: Tensors, times: Tensor) -> Tensor:
        # The first step is at time 0, so that training starts at the schedule's first value.
        schedule = filled(schedule, values)
        scale = 1 if schedule.unit is Unit.step else self._steps_per_epoch
        now, total = (times - 1) / scale, times.new_tensor(self._total_steps / scale)
        warmup = torch.as_tensor(schedule.warmup)
        rising = times / scale / warmup.clamp(min=1e-12)
        per = scale if schedule.in_steps else 1
        left = (total - warmup).clamp(min=1e-12) * per
        later = schedule.factor((now - warmup).clamp(min=0) * per, left)
        return torch.where(now < warmup, rising.clamp(max=1), later)
