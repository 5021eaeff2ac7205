"""Runs that differ in numbers alone, as the lanes of one session."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import vmap

from experiments.plugin.kinds import Loss
from experiments.plugin.spec import Tensors
from experiments.process import signals
from experiments.rules.numbers import filled, numbers
from experiments.rules.params import Params
from experiments.rules.rule import Memory, Rule
from experiments.settings import Experiment
from experiments.training import compatibility, evaluation
from experiments.training.forward import Forward
from experiments.training.session import Session, build_network, rule_for

_AT_ONCE = 2**14  # items of all lanes together in one forward pass of an evaluation


def in_lanes(session: Session, lanes: Sequence[Experiment]) -> Session:
    """Return the session of several runs, made of one that is prepared for the first of them.

    Device, data and metrics are shared. Every lane has the parameters, the order of batches and
    the numbers of its own experiment.
    """
    networks = [build_network(experiment, session.splits.spec) for experiment in lanes]
    vector = session.params.vector
    params = Params(
        networks, vector.device, vector.dtype, channels_last=session.params.channels_last
    )
    model = Forward(networks, params, session.experiment.device.precision)
    return _assembled(session, lanes, params, model)


def taken(session: Session, places: Sequence[int], state: Memory) -> Session:
    """Return some of the lanes, with copies of their tensors; one alone becomes a plain run."""
    if not session.lanes:
        return dataclasses.replace(session, state=state)
    lanes = [session.lanes[place] for place in places]
    if len(places) == 1:
        return lane(session, places[0], state)
    params, model = session.params.taken(places), session.model.taken(places)
    rows = torch.tensor(places, device=session.device)
    memory = {
        owner: {name: tensor[rows] for name, tensor in tensors.items()}
        for owner, tensors in state.items()
    }
    return dataclasses.replace(_assembled(session, lanes, params, model), state=memory)


def lane(session: Session, place: int, state: Memory) -> Session:
    """Return one lane as the session of a plain run, with copies of its tensors."""
    if not session.lanes:
        return dataclasses.replace(session, state=state)
    experiment = session.lanes[place]
    params, model = session.params.lane(place), session.model.lane(place)
    memory = {
        owner: {name: tensor[place].clone() for name, tensor in tensors.items()}
        for owner, tensors in state.items()
    }
    return dataclasses.replace(
        session,
        experiment=experiment,
        params=params,
        model=model,
        loss_fn=compatibility.loss_for(experiment, session.splits.spec),
        rule=_rule(session, [experiment], params),
        state=memory,
        lanes=(),
    )


@torch.no_grad()
def evaluate(session: Session, split: str) -> list[dict[str, float]]:
    """Return the mean loss and every metric of each lane, or of a plain run, on a split."""
    if not session.lanes:
        return [_alone(session, split)]
    batches, count = session.batches[split], len(session.lanes)
    losses = torch.zeros(count, dtype=torch.float64)
    totals: Tensors = {}
    session.model.train(False)
    for inputs, targets in batches.in_order():
        signals.check()
        outputs = _outputs(session, inputs)
        same = targets.expand(count, *targets.shape)
        losses += session.loss_fn(outputs, same).cpu() * len(targets)
        for name, metric in session.metrics.items():
            sums = vmap(metric.statistics)(outputs, same).cpu().double()
            totals[name] = totals[name] + sums if name in totals else sums
    session.model.train()
    values = {f"{split}/loss": (losses / batches.size).tolist()}
    for name, metric in session.metrics.items():
        values[f"{split}/{name}"] = vmap(metric.value)(totals[name]).tolist()
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _alone(session: Session, split: str) -> dict[str, float]:
    found = evaluation.evaluate(
        session.model,
        session.params.tensors,
        session.batches[split],
        loss_fn=session.loss_fn,
        metrics=session.metrics,
    )
    return {f"{split}/{name}": value for name, value in found.items()}


def _outputs(session: Session, inputs: Tensor) -> Tensor:
    """Return the outputs [K, B, ...] for the same inputs, a few lanes at a time."""
    tensors, count = session.params.tensors, len(session.lanes)
    size = max(1, _AT_ONCE // len(inputs))
    parts = [
        session.model.on_same(tensors, inputs, slice(start, start + size))
        for start in range(0, count, size)
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _assembled(
    session: Session, lanes: Sequence[Experiment], params: Params, model: Forward
) -> Session:
    rule = _rule(session, lanes, params)
    return dataclasses.replace(
        session,
        experiment=lanes[0],
        params=params,
        model=model,
        loss_fn=_loss(
            [compatibility.loss_for(lane, session.splits.spec) for lane in lanes], session
        ),
        rule=rule,
        state=rule.init(params.vector),
        lanes=tuple(lanes),
    )


def _rule(session: Session, lanes: Sequence[Experiment], params: Params) -> Rule:
    return rule_for(
        lanes, params, total_steps=session.total_steps, steps_per_epoch=session.steps_per_epoch
    )


def _loss(losses: Sequence[Loss], session: Session) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the losses [K] of outputs [K, B, ...] and targets [K, B, ...]."""
    first = losses[0]
    values = {
        name: tensor.to(session.params.vector.dtype)
        for name, tensor in numbers(losses, session.device).items()
        # What all lanes share stays a number, for which a loss may have a faster way.
        if (tensor != tensor[0]).any()
    }
    if not values:
        return vmap(first)
    in_lanes = vmap(lambda own, outputs, targets: filled(first, own)(outputs, targets))
    return lambda outputs, targets: in_lanes(values, outputs, targets)
