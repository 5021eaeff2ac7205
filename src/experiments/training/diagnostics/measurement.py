"""Measure a run's steps at an interval, each beside the loop, which takes no note of it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.errors import ConfigError
from experiments.plugin.spec import State
from experiments.rules import lossscale
from experiments.rules.evaluations import Evaluations, Examples
from experiments.training.diagnostics import layers, noise, sharpness
from experiments.training.diagnostics.memory import KEY, names
from experiments.training.loop import Step
from experiments.training.session import Session

WHOLE = "(all)"  # in the place of a layer's name
_PRODUCTS = 5  # of the Hessian and a vector at a measurement, which goes on from the last one
_ROUNDS = 5  # of so many at the first

Layers = dict[str, dict[str, float]]  # of each layer what is measured, by name


class _Before(NamedTuple):
    """What is known before a step that is measured."""

    vector: Tensor
    scale: Tensor | float  # of its gradient


def watched(session: Session, steps: Iterator[Step]) -> Iterator[Step]:
    """Pass steps on, whose memory has what was measured of those that it is time for.

    Parameters, running statistics and random numbers stay as they are.
    """
    before = _Before(session.params.vector.clone(), lossscale.scale_of(session.state))
    for step in steps:
        memory = step.state[KEY]
        if session.is_measured(step.t):
            _measure(session, step, memory, before)
        if session.is_measured(step.t + 1):
            memory["gradient"].copy_(session.params.gradient)
            before = _Before(session.params.vector.clone(), lossscale.scale_of(step.state))
        yield step


def readings(session: Session, step: Step) -> list[Layers]:
    """Return of each run what was measured of the whole model and of each layer at a step.

    Nothing where it was not time to.
    """
    axis, memory = session.axis, step.state.get(KEY, {})
    if "t" not in memory or (memory["t"] != step.t).any():
        return []
    tensors = [WHOLE, *(place.name for place in session.params.layout.places)]
    own = names(session.experiment)
    runs: list[Layers] = [
        {name: dict(zip(own, row, strict=True)) for name, row in zip(tensors, rows, strict=True)}
        for rows in axis.rows(memory["layers"]).tolist()
    ]
    _, scheduled = session.rule.clock(step.t)
    if "sharpness" in memory:
        edges = axis.values(2 / scheduled["lr"])
        for run, value, edge in zip(runs, axis.values(memory["sharpness"]), edges, strict=True):
            run[WHOLE] |= {"sharpness": value, "two_over_lr": edge}
    return runs


@torch.no_grad()
def _measure(session: Session, step: Step, memory: State, before: _Before) -> None:
    params = session.params
    found = layers.quantities(
        params.layout,
        params=params.vector,
        gradient=params.gradient / before.scale,
        update=before.vector - params.vector,
        previous=memory["gradient"],
    )
    # What is drawn for it leaves the random numbers of the run alone.
    devices = [session.device] if session.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if "means" in memory:
            now = _noise(session, step.batch, before.vector)
            memory["means"].copy_(noise.running_means(memory["means"], now))
            scale = memory["means"][..., :1] / memory["means"][..., 1:]
            found = torch.cat([found, now, scale], -1)
        if "direction" in memory:
            for _ in range(1 if memory["t"].any() else _ROUNDS):
                _sharpen(session, step.batch, before.vector, memory)
    memory["layers"].copy_(found)
    memory["t"].fill_(step.t)


def _noise(session: Session, batch: Sequence[Examples], vector: Tensor) -> Tensor:
    def gradient_of(half: Sequence[Examples]) -> Tensor:
        # With random numbers of its own, such that halves are independent.
        return _evaluations(session, half, again=False).loss_and_gradient(vector)[1]

    dim = 0 if session.axis.count == 1 else 1
    return noise.estimates(session.params.layout, gradient_of, batch, dim=dim)


def _sharpen(session: Session, batch: Sequence[Examples], vector: Tensor, memory: State) -> None:
    evaluations = _evaluations(session, batch, again=True)

    def product(along: Tensor) -> Tensor:
        try:
            return evaluations.hvp(vector, along)
        except RuntimeError as error:
            if "not implemented" not in str(error):
                raise
            told = str(error).splitlines()[0]
            raise ConfigError(
                f"diagnostics.sharpness=true: no second derivative: {told}"
            ) from error

    value, direction = sharpness.largest(product, memory["direction"], _PRODUCTS)
    memory["sharpness"].copy_(value)
    memory["direction"].copy_(direction)


def _evaluations(session: Session, batch: Sequence[Examples], *, again: bool) -> Evaluations:
    return Evaluations(session.model, session.loss_fn, session.params, batch, again=again)
