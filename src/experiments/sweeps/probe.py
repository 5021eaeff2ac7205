"""How many runs train together fastest, by measured throughput and within the memory."""

import gc
import itertools
import logging
import math
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch

from experiments.errors import ConfigError, is_out_of_memory, without_exit
from experiments.plugin import registry, rulepart
from experiments.plugin.failure import explained, lane_obstacle, told
from experiments.plugin.spec import Precision
from experiments.process import memory
from experiments.process.isolation import isolated
from experiments.settings import Experiment
from experiments.sweeps import console
from experiments.training import engine, lanes
from experiments.training.evaluation import evaluate
from experiments.training.loop import descend
from experiments.training.session import Session, prepare

FEWEST = 2  # runs that make a group
_FIRST, _FACTOR = 16, 4  # lanes that are tried: 16, 64, 256, ...
_SHORT = 2e-3  # seconds of a step alone, below which 64 are tried first
_WARM_UP, _TIMED = 2, 3  # steps of each, and more while they take less than
_LONG = 0.1  # seconds
_CLEAR = 1.1  # times as long as with fewer lanes a step may seem to take: noise is no reason
_SHARE = 0.05  # of the time that all runs take in turn, for which lanes are tried at most
_FREE = 0.7  # of the free memory that lanes may take
log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """How many lanes a group has, 1 where its runs go one by one; and why not more."""

    lanes: int
    reason: str


def obstacle(experiment: Experiment) -> str | None:
    """Say which setting keeps a run from training with others, or None."""
    if experiment.device.precision is Precision.fp16:
        return "device.precision=fp16: its loss scale is of one run"
    if not experiment.dataset.resident or experiment.data.workers:
        return "dataset.resident=false or data.workers: a loader feeds it"
    parts = [experiment.optimizer, *experiment.transform.values()]
    for plugin in (one for part in parts for one in rulepart.within(part)):
        if not plugin.in_lanes:
            return f"{registry.name_of(type(plugin))} cannot be vectorized over runs"
    return None


def choose(experiments: Sequence[Experiment], most: int) -> Choice:
    """Try some numbers of lanes for a few steps each, and return the fastest a run."""
    with isolated():
        started = time.perf_counter()
        single = prepare(experiments[0])
        overhead = time.perf_counter() - started  # of each run that goes alone
        try:
            alone = _seconds(single)
        except Exception as error:  # which the first run is told, too
            return Choice(1, f"the first fails: {explained(error)}")
        overhead /= single.total_steps  # seconds of a step
        room = _SHARE * len(experiments) * single.total_steps * (alone + overhead)
        most = min(most, len(experiments))
        best, fastest = 1, alone + overhead
        for size in _sizes(most, _FIRST if alone > _SHORT else _FIRST * _FACTOR):
            try:
                seconds, taken = _measured(single, experiments[:size])
            except Exception as error:  # whatever a model does that cannot be done in lanes
                if is_out_of_memory(error):
                    return Choice(best, f"{size} lanes are too many for the memory")
                if best == 1:
                    raise
                return Choice(best, "")
            found = (seconds + overhead) / size
            if found < fastest * (_CLEAR if best > 1 else 1):
                best, fastest = size, found
            elif size > best > 1:
                break
            fitting = int(_FREE * memory.free(single.device) / max(taken / size, 1))
            if size * _FACTOR > fitting:
                most = max(size, min(most, fitting))
            if time.perf_counter() - started > room and best > 1:
                break
            if size >= most:
                break
    if best == 1:
        told = f"a step takes {alone * 1e3:.3g} ms alone, and no less a run in lanes"
        return Choice(1, told)
    return Choice(best, "")


def parts(experiments: Sequence[Experiment], most: int, *, probe: bool) -> list[Sequence[int]]:
    """Divide runs into as many lanes as are fastest, and say so where that is not all of them.

    One that cannot even begin is a part of its own.
    """
    count = len(experiments)
    if count < FEWEST or most < FEWEST or not probe or obstacle(experiments[0]):
        return [*divided(count, 1 if count and obstacle(experiments[0]) else most)]
    try:
        with without_exit():
            choice = choose(experiments, most)
    except Exception as error:
        unfit = lanes.obstacles(experiments)
        fit = [place for place in range(count) if place not in unfit]
        if unfit:
            rest = parts([experiments[place] for place in fit], most, probe=True)
            return [
                *([place] for place in unfit),
                *([fit[place] for place in part] for part in rest),
            ]
        choice = Choice(1, _cause(experiments[0], error))
    found = divided(count, choice.lanes)
    console.lanes([len(part) for part in found], choice.reason)
    return [*found]


def divided(count: int, most: int) -> list[range]:
    """Divide so many runs into parts of a similar size that have so many at most."""
    parts = math.ceil(count / most)
    return [range(count * n // parts, count * (n + 1) // parts) for n in range(parts)]


def _sizes(most: int, first: int) -> list[int]:
    tried = itertools.takewhile(lambda n: n < most, (first * _FACTOR**n for n in range(12)))
    return [*tried, most]


def _measured(single: Session, experiments: Sequence[Experiment]) -> tuple[float, float]:
    """Return the seconds of a step of lanes, and the bytes that they take at most."""
    gc.collect()
    before = memory.forget_peak(single.device)
    session = lanes.in_lanes(single, experiments)
    seconds = _seconds(session)
    evaluate(session, "val")
    return seconds, max(0.0, memory.peak(single.device) - before)


def _seconds(session: Session) -> float:
    """Return the median of the seconds of some steps: what a busy machine takes, but for jolts."""
    steps = descend(
        session.model,
        session.loss_fn,
        session.rule,
        session.params,
        session.state,
        engine.batches(session),
    )
    found: list[float] = []
    begun = time.perf_counter()
    for count in range(session.total_steps):
        _wait(session.device)
        started = time.perf_counter()
        next(steps)
        _wait(session.device)
        ended = time.perf_counter()
        if count >= min(_WARM_UP, session.total_steps - 1):
            found.append(ended - started)
        if count >= _WARM_UP + _TIMED and ended - begun > _LONG:
            break
    return statistics.median(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _cause(experiment: Experiment, error: Exception) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    model = registry.name_of(type(experiment.model))
    return lane_obstacle(error) or f"model={model} cannot train in lanes: {told(error)}"
