"""What a rule or a transform has returned, checked the first time: a wrong one trains garbage."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from experiments.errors import ConfigError, options
from experiments.plugin import registry, rulepart
from experiments.plugin.failure import outline
from experiments.plugin.rulepart import NEEDS, RulePart, Transform
from experiments.plugin.spec import Scope, State

PLACES = ("on_batch", "on_gradient", "on_step", "on_params")  # of transforms


def check_declared(name: str, plugin: RulePart) -> None:
    """Check what a class says of itself; raise ConfigError with the nearest name."""
    scopes = [scope.value for scope in Scope]
    if plugin.scope not in [*Scope, *scopes]:
        raise ConfigError(f"{name}: scope={plugin.scope!r}; {options(str(plugin.scope), scopes)}")
    needs = [plugin.needs] if isinstance(plugin.needs, str) else plugin.needs
    for need in needs:
        if need not in NEEDS:
            raise ConfigError(f"{name}: needs={need!r}; {options(str(need), NEEDS)}")
    methods = [*PLACES, "evaluated"]
    if isinstance(plugin, Transform) and not any(has_own(plugin, method) for method in methods):
        other = next((own for own in vars(type(plugin)) if own.startswith("on")), "")
        raise ConfigError(f"{name} has no method that does anything; {options(other, methods)}")


def has_own(plugin: RulePart, method: str) -> bool:
    """Say whether a plugin has a method of its own, and not that of its kind."""
    module: str = getattr(type(plugin), method).__module__
    return module != rulepart.__name__


@contextmanager
def telling(told: str, plugin: RulePart) -> Iterator[None]:
    """Say of a call of a plugin that went wrong by itself what it has to be."""
    try:
        yield
    except AttributeError as error:
        if error.obj is plugin and error.name == "batch":
            lack = "it has self.batch where it says for what, as in needs = ('gradient',)"
            raise ConfigError(f"{told}: {lack}.") from error
        raise
    except TypeError as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if frame.f_globals["__name__"].startswith("experiments."):  # no line of it was reached
            file = registry.source(type(plugin))
            lack = f"has other arguments than those of its kind: {error}"
            raise ConfigError(f"{told} {lack} ({file}).") from error
        raise


def check_attributes(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Check that a step has set no attribute: each is taken by a copy of the plugin."""
    for name, value in after.items():
        if name not in before or before[name] is not value:
            raise ConfigError(
                f"{where} sets self.{name}, which is lost after the step; what lasts from step to "
                "step is a tensor of the state."
            )


def check_pair(where: str, given: Any, like: Tensor, memory: State) -> None:
    """Check a pair of a vector like another and the next memory; raise ConfigError."""
    if not (isinstance(given, tuple) and len(given) == 2):
        raise ConfigError(
            f"{where} returned {outline(given)}, expected two things: a tensor like "
            "the first argument, and the next state."
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
                "by its name: a number is kept as `param.new_zeros(())`."
            )


def _names(state: State) -> str:
    return ", ".join(sorted(state)) or "nothing"
