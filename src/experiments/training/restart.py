"""How runs that trained together begin again once an error has stopped them all."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from experiments.errors import ConfigError, is_out_of_memory
from experiments.plugin import failure
from experiments.settings import Experiment
from experiments.text import shortened
from experiments.training import lanes

log = logging.getLogger(__name__)


class Restart(NamedTuple):
    """Which runs begin again together, by place, and why the others cannot begin at all."""

    parts: list[list[int]]
    failed: dict[int, Exception]


def restart(experiments: Sequence[Experiment], stopped: Exception, *, begun: bool) -> Restart:
    """Divide runs by what stopped them, before their first step or since they have `begun`.

    Where a plugin cannot do in lanes what it does, all go one by one at once: each half would be
    stopped again. What no plugin has done is looked for in halves.
    """
    places = [*range(len(experiments))]
    halves = [places[: len(places) // 2], places[len(places) // 2 :]]
    if is_out_of_memory(stopped):
        log.warning("%d lanes are too many for the memory: half of them go first.", len(places))
        return Restart(halves, {})
    if not begun and not failure.needs_values(stopped):
        failed = lanes.obstacles(experiments)
        if failed:
            return Restart([[place for place in places if place not in failed]], failed)
    told = str(stopped) if isinstance(stopped, ConfigError) else failure.lane_obstacle(stopped)
    if told or not begun:
        log.warning("%d runs go one by one: %s", len(places), told or failure.told(stopped))
        return Restart([[place] for place in places], {})
    why = shortened(str(stopped))
    log.warning("%d runs were stopped, and begin again in halves: %s", len(places), why)
    return Restart(halves, {})
