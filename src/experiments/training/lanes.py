"""Runs that differ in numbers alone, as the lanes of one session."""

import dataclasses
from collections.abc import Callable, Sequence

from torch import Tensor

from experiments.errors import ConfigError, without_exit
from experiments.plugin import registry
from experiments.plugin.kinds import Loss, Plugin
from experiments.rules.axis import Axis
from experiments.rules.chain import Memory
from experiments.rules.numbers import filled, numbers, unshared
from experiments.rules.params import Params
from experiments.settings import Experiment
from experiments.training import compatibility
from experiments.training.diagnostics import memory as diagnostics
from experiments.training.forward import Forward
from experiments.training.network import build_network
from experiments.training.session import Session, prepare, rule_for


def in_lanes(session: Session, experiments: Sequence[Experiment]) -> Session:
    """Return the session of several runs, made of one that is prepared for the first of them.

    Device, data and metrics are shared. Every run has the parameters, the order of batches and
    the numbers of its own experiment.
    """
    networks = [build_network(experiment, session.splits.spec) for experiment in experiments]
    vector, channels_last = session.params.vector, session.params.layout.channels_last
    params = Params(networks, vector.device, vector.dtype, channels_last=channels_last)
    model = Forward(networks, params, session.experiment.device.precision)
    return _assembled(session, experiments, params, model)


def taken(session: Session, places: Sequence[int], state: Memory) -> Session:
    """Return some of the runs, with copies of their tensors; what is one run stays as it is."""
    if session.axis.count == 1:
        return dataclasses.replace(session, state=state)
    experiments = [session.experiments[place] for place in places]
    params, model = session.params.taken(places), session.model.taken(places)
    memory = {
        owner: {name: session.axis.taken(tensor, places) for name, tensor in tensors.items()}
        for owner, tensors in state.items()
    }
    return _assembled(session, experiments, params, model, memory)


def copied(session: Session) -> Session:
    """Return a run with copies of what training changes."""
    params = session.params.over(session.params.vector.clone())
    return dataclasses.replace(session, params=params, model=session.model.aside())


def obstacles(experiments: Sequence[Experiment]) -> dict[int, Exception]:
    """Return, by place, what keeps some of several runs from beginning: it is looked for in halves.

    Runs that can begin each for itself have none.
    """
    try:
        with without_exit():
            in_lanes(prepare(experiments[0]), experiments)
    except Exception as error:
        if len(experiments) == 1:
            return {0: error}
    else:
        return {}
    half = len(experiments) // 2
    rest = obstacles(experiments[half:])
    return obstacles(experiments[:half]) | {half + place: own for place, own in rest.items()}


def _assembled(
    session: Session,
    experiments: Sequence[Experiment],
    params: Params,
    model: Forward,
    state: Memory | None = None,
) -> Session:
    rule = rule_for(
        experiments,
        params,
        total_steps=session.total_steps,
        steps_per_epoch=session.steps_per_epoch,
    )
    losses = [compatibility.loss_for(each, session.splits.spec) for each in experiments]
    memory = diagnostics.initial(experiments, rule, params) if state is None else state
    _check_shared(experiments, losses)
    return dataclasses.replace(
        session,
        experiments=tuple(experiments),
        params=params,
        model=model,
        loss_fn=_loss(losses, params),
        rule=rule,
        state=memory,
    )


def _check_shared(experiments: Sequence[Experiment], losses: Sequence[Loss]) -> None:
    """Raise ConfigError where a plugin has attributes that are of one run alone."""
    first = experiments[0]
    parts: list[Sequence[Plugin]] = [losses]
    parts += [[e.optimizer for e in experiments], [e.schedule for e in experiments]]
    parts += [[e.schedules[name] for e in experiments] for name in first.schedules]
    parts += [[e.transform[name] for e in experiments] for name in first.transform]
    for plugins in parts:
        if name := unshared(plugins):
            told = registry.name_of(type(plugins[0]))
            raise ConfigError(f"{told}: its attribute '{name}' is no setting, and of one run alone")


def _loss(losses: Sequence[Loss], params: Params) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the losses [K] of outputs [K, B, ...] and targets [K, B, ...]; of one run its own."""
    first, axis = losses[0], Axis(len(losses))
    values = {
        name: tensor.to(params.vector.dtype)
        for name, tensor in numbers(losses, params.vector.device).items()
        # What all lanes share stays a number, for which a loss may have a faster way.
        if (tensor != axis.rows(tensor)[0]).any()
    }
    if not values:
        return axis.map(first)
    in_lanes = axis.map(lambda own, outputs, targets: filled(first, own)(outputs, targets))
    return lambda outputs, targets: in_lanes(values, outputs, targets)
