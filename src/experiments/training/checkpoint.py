"""What a checkpoint holds of a run, and how runs go on from theirs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experiments import tensorfile
from experiments.errors import DataError
from experiments.plugin.description import describe, describe_spec
from experiments.plugin.spec import State, Tensors
from experiments.runs.checkpoints import Content
from experiments.training import lanes
from experiments.training.diagnostics import memory as diagnostics
from experiments.training.loop import Step
from experiments.training.session import Session


class Point(NamedTuple):
    """Runs after a step of which nothing was made yet: no look, no evaluation.

    `losses` are those since the last look; `best` are the best parameters and buffers so far, none
    at first; `seconds` is the time trained.
    """

    step: Step
    losses: Sequence[Tensor]
    best: Tensors
    seconds: float


def of_model(
    session: Session, t: int, values: Mapping[str, float]
) -> tuple[Tensors, dict[str, Any]]:
    """Return what makes the model of step `t` again: parameters and buffers, and their origin."""
    model = session.experiment.model
    described, of_spec = describe_spec(session.splits.spec)
    tensors = {
        **tensorfile.under("params", session.params.tensors),
        **tensorfile.under("buffers", session.model.buffers),
        **of_spec,
    }
    facts = {
        "step": t,
        "epoch": t / session.steps_per_epoch,
        "values": dict(values),
        "model": describe(model),
        "module": type(model).__module__,
        "spec": described,
    }
    return tensors, facts


def of_run(
    session: Session,
    point: Point,
    run_id: str,
    *,
    shown: Session | None = None,
    position: int = 0,
    values: Mapping[str, float] | None = None,
    place: int = 0,
) -> tuple[Tensors, dict[str, Any]]:
    """Return all that the run at a place needs to go on from a point as if it had never stopped.

    Its model is that of the session that is `shown`, where the rule wants it evaluated. `position`
    is where its journal ends, `values` are those of its last evaluation.
    """
    axis, step = session.axis, point.step
    single = lanes.taken(session, [place], step.state)
    model = lanes.taken(shown or session, [place], step.state)
    tensors, facts = of_model(model, step.t, values or {})
    if shown is not None and shown is not session:
        tensors |= tensorfile.under("trained/params", single.params.tensors)
        tensors |= tensorfile.under("trained/buffers", single.model.buffers)
    losses = torch.cat(list(point.losses)).reshape(-1, axis.count)[:, place]
    norm, of_gradient = (norm.reshape(-1)[place] for norm in step.norms())
    tensors |= {"losses": losses, "norm": norm, "norm_gradient": of_gradient}
    tensors["random/cpu"] = torch.get_rng_state()
    if session.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(session.device)
    for name, memory in single.state.items():
        tensors |= tensorfile.under(f"state/{name}", memory)
    best = {name: axis.rows(tensor)[place] for name, tensor in point.best.items()}
    own = {"run_id": run_id, "position": position, "seconds": point.seconds}
    own["channels_last"] = session.params.layout.channels_last
    return tensors | tensorfile.under("best", best), facts | own


@torch.no_grad()
def bring_back(session: Session, contents: Sequence[Content]) -> Point:
    """Bring runs that were prepared anew to the point that `of_run` kept, of each its own.

    Raises DataError where the tensors are not those of such runs.
    """
    axis = session.axis
    singles = [lanes.taken(session, [place], session.state) for place in range(axis.count)]
    points = [_brought_back(one, *own) for one, own in zip(singles, contents, strict=True)]
    for name, tensor in session.trained.items():
        tensor.copy_(axis.join([single.trained[name] for single in singles]))
    state = {
        owner: {name: axis.join([p.step.state[owner][name] for p in points]) for name in memory}
        for owner, memory in session.state.items()
    }
    losses = axis.join([point.losses[0] for point in points]).movedim(0, -1)
    norm, of_gradient = map(axis.join, zip(*(p.step.norms() for p in points), strict=True))
    # A run that has no best parameters yet has a place among those of the others all the same.
    pairs = list(zip(points, singles, strict=True))
    known = {name for point in points for name in point.best}
    best = {
        name: axis.join([p.best.get(name, s.trained[name]) for p, s in pairs]) for name in known
    }
    seconds = max(point.seconds for point in points)
    step = Step(points[0].step.t, losses, lambda: (norm, of_gradient), state)
    return Point(step, [losses], best, seconds)


def _brought_back(session: Session, tensors: Tensors, facts: Mapping[str, Any]) -> Point:
    params, reordered = (
        session.params,
        facts["channels_last"] != session.params.layout.channels_last,
    )

    def placed(like: Tensor, stored: Tensor) -> Tensor:
        vectors = like.shape[-1:] == params.vector.shape  # one, or several as L-BFGS keeps
        stored = params.layout.reordered(stored) if vectors and reordered else stored
        if stored.shape != like.shape:
            raise ValueError(f"a tensor of {list(stored.shape)}, expected {list(like.shape)}")
        # What is mapped from a file lies at any address, from which some kernels sum otherwise.
        return stored.to(like, copy=True)

    try:
        trained = tensors | tensorfile.below("trained", tensors)
        stored = tensorfile.below("params", trained)
        leaves = {name: placed(leaf, stored[name]) for name, leaf in params.tensors.items()}
        params.vector.copy_(params.layout.join(leaves))
        for name, buffer in session.model.buffers.items():
            buffer.copy_(placed(buffer, trained[f"buffers/{name}"]))
        state = {
            owner: {name: placed(v, tensors[f"state/{owner}/{name}"]) for name, v in memory.items()}
            for owner, memory in session.state.items()
            if not _is_new(owner, memory, tensors)
        }
        state = session.state | state
        losses = tensors["losses"].to(params.vector)
        norms = tensors["norm"].to(params.vector), tensors["norm_gradient"].to(params.vector)
        step = Step(facts["step"], losses, lambda: norms, state)
        best = {
            name: placed(session.trained[name], value)
            for name, value in tensorfile.below("best", tensors).items()
        }
        torch.set_rng_state(tensors["random/cpu"])
        if session.device.type == "cuda" and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], session.device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"The checkpoint of step {facts['step']} does not fit: {error}.") from error
    return Point(step, [losses], best, facts["seconds"])


def _is_new(owner: str, memory: State, tensors: Tensors) -> bool:
    """Say whether diagnostics are asked for only now, or are others than the checkpoint's."""
    kept = tensorfile.below(f"state/{owner}", tensors)
    same = all(name in kept and kept[name].shape == own.shape for name, own in memory.items())
    return owner == diagnostics.KEY and not same
