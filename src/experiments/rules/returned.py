"""What a rule or a transform has returned, checked the first time: a wrong one trains garbage."""

from typing import Any

from torch import Tensor

from experiments.errors import ConfigError
from experiments.plugin.failure import outline
from experiments.plugin.spec import State


def check_pair(where: str, given: Any, like: Tensor, memory: State) -> None:
    """Check a pair of a vector like another and the next memory; raise ConfigError."""
    if not (isinstance(given, tuple) and len(given) == 2):
        raise ConfigError(
            f"{where} returned {outline(given)}, expected two things: what is made of the gradient "
            "(or of the step, or of the parameters), and the next state."
        )
    result, after = given
    check_vector(where, result, like)
    check_memory(where, after)
    if after.keys() != memory.keys():
        raise ConfigError(
            f"{where} returned a state of {_names(after)}, expected {_names(memory)}, as before "
            "the step: init makes all that a step changes."
        )
    for name, tensor in after.items():
        if tensor.shape != memory[name].shape or tensor.dtype != memory[name].dtype:
            wanted = outline(memory[name])
            raise ConfigError(
                f"{where} returned a state whose '{name}' is {outline(tensor)}, expected {wanted}, "
                "as before the step."
            )


def check_vector(where: str, given: Any, like: Tensor) -> None:
    """Check that something is a tensor of the shape and the dtype of another."""
    if not isinstance(given, Tensor) or given.shape != like.shape or given.dtype != like.dtype:
        raise ConfigError(f"{where} returned {outline(given)}, expected {outline(like)}.")


def check_memory(where: str, given: Any) -> None:
    """Check that something is a state: tensors by name."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where} returned {outline(given)} as state, expected tensors by name.")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ConfigError(
                f"{where} returned a state whose {name!r} is {outline(value)}, expected a tensor "
                "by its name: a number is kept as `torch.tensor(0.0)`."
            )


def _names(state: State) -> str:
    return ", ".join(sorted(state)) or "nothing"
