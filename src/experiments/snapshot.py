"""What a checkpoint holds of a run, and the model that is made of one again."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments import checkpoint
from experiments.description import describe, describe_spec, restore, restore_spec
from experiments.interfaces import Model
from experiments.records import Network, Tensors
from experiments.setup import Session


def save(
    path: Path, session: Session, state: Mapping[str, Tensors], values: Mapping[str, float], t: int
) -> None:
    """Write parameters, buffers and the rule's state after step `t`, and what they belong to."""
    model = session.experiment.model
    described, of_spec = describe_spec(session.splits.spec)
    tensors = {
        **_under("params", session.params.tensors),
        **_under("buffers", session.model.buffers),
        **of_spec,
    }
    for name, memory in state.items():
        tensors |= _under(f"state/{name}", memory)
    facts = {
        "step": t,
        "epoch": t / session.steps_per_epoch,
        "values": dict(values),
        "model": describe(model),
        "module": type(model).__module__,
        "spec": described,
    }
    checkpoint.save(path, tensors, facts)


def predictor(path: Path) -> Callable[[Tensor], Tensor]:
    """Return the function from items as stored [N, *item] to outputs [N, ...] of a checkpoint.

    Raises DataError where the file is absent or damaged.
    """
    tensors, facts = checkpoint.load(path)
    spec = restore_spec(facts["spec"], tensors)
    importlib.import_module(facts["module"])
    model = restore(facts["model"])
    assert isinstance(model, Model)
    forward = _filled(model.build(spec), tensors)

    @torch.no_grad()
    def predict(items: Tensor) -> Tensor:
        return forward((items.float() - spec.mean) / spec.std)

    return predict


def _filled(network: nn.Module | Network, tensors: Tensors) -> Callable[[Tensor], Tensor]:
    params = _below("params", tensors)
    if isinstance(network, Network):
        raw = network
        return lambda inputs: raw.forward(params, inputs)
    network.load_state_dict(params | _below("buffers", tensors))
    return network.float().eval()


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Tensors) -> Tensors:
    start = f"{prefix}/"
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
