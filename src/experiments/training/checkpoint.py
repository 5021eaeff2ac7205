"""What a checkpoint holds of a run, and the model that is made of one again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experiments import tensorfile
from experiments.errors import DataError
from experiments.plugin.description import describe, describe_spec
from experiments.plugin.spec import Tensors
from experiments.training.loop import Step
from experiments.training.session import Session


class Point(NamedTuple):
    """A run after a step of which nothing was made yet: no look, no evaluation.

    `losses` are those since the last look; `best` are the best parameters and buffers so far, none
    at first; `position` is where the journal ends, and `seconds` is the time trained.
    """

    step: Step
    losses: Sequence[Tensor]
    best: Tensors
    position: int
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
    session: Session, point: Point, values: Mapping[str, float], run_id: str
) -> tuple[Tensors, dict[str, Any]]:
    """Return all that the run needs to go on from a point as if it had never stopped."""
    step = point.step
    tensors, facts = of_model(session, step.t, values)
    tensors |= {"losses": torch.cat(list(point.losses)), "change": step.change}
    tensors["random/cpu"] = torch.get_rng_state()
    if session.device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(session.device)
    for name, memory in step.state.items():
        tensors |= tensorfile.under(f"state/{name}", memory)
    own = {"run_id": run_id, "position": point.position, "seconds": point.seconds}
    own["channels_last"] = session.params.channels_last
    return tensors | tensorfile.under("best", point.best), facts | own


@torch.no_grad()
def bring_back(session: Session, tensors: Tensors, facts: Mapping[str, Any]) -> Point:
    """Bring a run that was prepared anew to the point that `of_run` kept.

    Raises DataError where the tensors are not those of such a run.
    """
    params, reordered = session.params, facts["channels_last"] != session.params.channels_last

    def placed(like: Tensor, stored: Tensor) -> Tensor:
        vector = like.shape == params.vector.shape
        stored = params.reordered(stored) if vector and reordered else stored
        if stored.shape != like.shape:
            raise ValueError(f"a tensor of {list(stored.shape)}, expected {list(like.shape)}")
        return stored.to(like)

    try:
        stored = tensorfile.below("params", tensors)
        leaves = {name: placed(leaf, stored[name]) for name, leaf in params.tensors.items()}
        params.vector.copy_(params.join(leaves))
        for name, buffer in session.model.buffers.items():
            buffer.copy_(placed(buffer, tensors[f"buffers/{name}"]))
        state = {
            owner: {
                name: placed(value, tensors[f"state/{owner}/{name}"])
                for name, value in memory.items()
            }
            for owner, memory in session.state.items()
        }
        losses = tensors["losses"].to(params.vector)
        step = Step(facts["step"], losses, placed(params.vector, tensors["change"]), state)
        best = {
            name: placed(params.vector if name == "params" else session.model.buffers[name], value)
            for name, value in tensorfile.below("best", tensors).items()
        }
        torch.set_rng_state(tensors["random/cpu"])
        if session.device.type == "cuda" and "random/cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random/cuda"], session.device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise DataError(f"The checkpoint of step {facts['step']} does not fit: {error}.") from error
    return Point(step, [losses], best, facts["position"], facts["seconds"])
