"""A model's network, taken apart into its parameters and the function of them, if it fits."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from experiments.data.batches import Batches
from experiments.data.seeds import default_stream
from experiments.errors import ConfigError
from experiments.plugin import failure, registry
from experiments.plugin.failure import outline
from experiments.plugin.spec import DataSpec, MemoryFormat, Network, Precision
from experiments.rules.layout import initial_tensors
from experiments.rules.params import Params
from experiments.settings import Experiment
from experiments.training.forward import Forward


def build_network(experiment: Experiment, spec: DataSpec) -> nn.Module | Network:
    """Return the model's network with the parameters that the seed gives it."""
    with default_stream(experiment.seed, "init"):
        try:
            network: Any = experiment.model.build(spec)
        except ValueError as error:
            raise ConfigError(f"{_pair(experiment)}: {failure.reason(error)}.") from error
    wanted, found = _mistake(network)
    if wanted:
        failure.refuse(experiment.model, "build", wanted, found)
    built: nn.Module | Network = network
    return built


def _mistake(network: Any) -> tuple[str, str]:
    """Say what was wanted of a network, and what was found instead; nothing where it is one."""
    if not isinstance(network, nn.Module | Network):
        return "an nn.Module or a Network", outline(network)
    if isinstance(network, Network) and not callable(network.forward):
        return "a Network with a function", outline(network.forward)
    tensors: Any = initial_tensors(network)
    if not isinstance(tensors, dict) or not tensors:
        return "parameters to train, tensors by name", outline(tensors)
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor) or is_lazy(tensor):
            found = "one whose shape is not known yet" if is_lazy(tensor) else outline(tensor)
            return f"a tensor as parameter '{name}'", found
    return "", ""


def open_network(
    experiment: Experiment, spec: DataSpec, device: torch.device
) -> tuple[Params, Forward]:
    """Build the network, and take it apart into its parameters and the function of them."""
    precision = experiment.device.precision
    dtype = torch.float64 if precision is Precision.fp64 else torch.float32
    network = build_network(experiment, spec)
    channels_last = _is_channels_last(experiment, network, device)
    params = Params([network], device, dtype, channels_last=channels_last)
    return params, Forward([network], params, precision)


def check_outputs(
    experiment: Experiment, spec: DataSpec, model: Forward, params: Params, inputs: Tensor
) -> Tensor:
    """Return the outputs of some items; raise ConfigError where these or the inputs do not fit."""
    model.train(False)
    try:
        outputs: Any = model(params.tensors, inputs)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = failure.reason(error)
        raise ConfigError(
            f"{_pair(experiment)}: inputs of shape {list(inputs.shape)} do not fit: {reason}"
        ) from error
    finally:
        model.train()
    expected = [len(inputs), spec.outputs]
    if not isinstance(outputs, Tensor):
        told = f"expected outputs of shape {expected}, found {outline(outputs)}"
        raise ConfigError(f"{_pair(experiment)}: {told}.")
    if list(outputs.shape) != expected:
        raise ConfigError(
            f"{_pair(experiment)}: outputs of shape {list(outputs.shape)} must be {expected}."
        )
    if not outputs.requires_grad:
        raise ConfigError(f"{_pair(experiment)}: no parameter of it decides its outputs.")
    return outputs.detach()


def check_last_batch(
    experiment: Experiment, model: Forward, params: Params, train: Batches
) -> None:
    """Compute the outputs of one item where a batch has one; raise ConfigError where that fails.

    Batch normalisation has no variance of one value.
    """
    size, drop_last = experiment.batch_size, experiment.data.drop_last
    if size > 1 and (drop_last or train.size % size != 1):
        return
    inputs, _ = train.first(1)
    copies = {name: buffer.clone() for name, buffer in model.buffers.items()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model.bound(copies)(params.tensors, inputs)
    except ValueError as error:
        where = f"an epoch's last of {train.size} items" if size > 1 else "each"
        advice = "data.drop_last=true leaves it out" if size > 1 else "give batch_size at least 2"
        raise ConfigError(
            f"batch_size={size}: a batch, {where}, has one item, with which "
            f"model={registry.name_of(type(experiment.model))} cannot be trained "
            f"({str(error).splitlines()[0]}); {advice}."
        ) from error


def _is_channels_last(
    experiment: Experiment, network: nn.Module | Network, device: torch.device
) -> bool:
    """Say whether images lie channels last; if not told, where that makes convolutions fast."""
    asked, precision = experiment.device.memory_format, experiment.device.precision
    if asked is not MemoryFormat.auto:
        return asked is MemoryFormat.channels_last
    fast = device.type == "cpu" or precision in {Precision.tf32, Precision.bf16, Precision.fp16}
    return fast and any(tensor.dim() == 4 for tensor in initial_tensors(network).values())


def _pair(experiment: Experiment) -> str:
    model = registry.name_of(type(experiment.model))
    dataset = registry.name_of(type(experiment.dataset))
    return f"model={model} does not fit dataset={dataset}"
