"""The numbers of a plugin as tensors, so that schedules and lanes change values and not code."""

import dataclasses
from collections.abc import Sequence
from functools import cache
from types import FunctionType
from typing import Any, TypeVar

import torch

from experiments.plugin.kinds import Plugin
from experiments.plugin.spec import Tensors
from experiments.rules.axis import Axis

P = TypeVar("P", bound=Plugin)


def numbers(plugins: Sequence[Plugin], device: torch.device) -> Tensors:
    """Return the float fields of one plugin as 0-d tensors, or of K lanes' plugins as [K].

    They are float64 where the device has it: it leaves the dtype of float32 parameters alone, and
    keeps terms such as a bias correction exact.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    axis = Axis(len(plugins))
    rows = {
        f: [getattr(plugin, f.name) for plugin in plugins] for f in dataclasses.fields(plugins[0])
    }
    return {
        field.name: axis.of_rows(torch.tensor(row, dtype=dtype, device=device))
        for field, row in rows.items()
        if any(_is_number(field, value) for value in row)
    }


def filled(plugin: P, values: Tensors) -> P:
    """Return a copy of the plugin with tensors in place of its numbers."""
    # What copy.copy does, in a fifth of its time, which is a part of each step.
    twin = object.__new__(type(plugin))
    for name in _slots(type(plugin)):
        setattr(twin, name, getattr(plugin, name))
    for name, value in (getattr(plugin, "__dict__", {}) | values).items():
        setattr(twin, name, value)
    return twin


@cache
def _slots(cls: type[Plugin]) -> list[str]:
    """Name the fields that the classes above a plugin's keep outside its dictionary."""
    slots = {name for base in cls.__mro__ for name in getattr(base, "__slots__", ())}
    return [field.name for field in dataclasses.fields(cls) if field.name in slots]


def unshared(plugins: Sequence[Plugin]) -> str | None:
    """Name an attribute beside the fields that is not the same in all lanes' plugins, if any is.

    Of lanes the first plugin's code runs, with all lanes' numbers and its own other attributes.
    """
    own = [vars(p).keys() - {f.name for f in dataclasses.fields(p)} for p in plugins]
    for name in sorted(set().union(*own)):
        values = [vars(plugin).get(name) for plugin in plugins]
        if any(name not in names for names in own):
            return name
        if not all(_is_same(value, values[0]) for value in values):
            return name
    return None


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two values are known to be equal: objects are what they hold."""
    if one is other or type(one) is not type(other):
        return one is other
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, list | tuple):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    # What a class of Python's makes holds nothing but its attributes; a function does.
    if type(one).__dictoffset__ and isinstance(vars(type(one)).get("__init__"), FunctionType):
        return _is_same(vars(one), vars(other))
    try:
        return (one == other) is True
    except (RuntimeError, ValueError):  # of tensors and arrays within
        return False


def _is_number(field: dataclasses.Field[Any], value: object) -> bool:
    # Python takes lr=1 for a float, and so does the field; its type is a text where the plugin's
    # file postpones the evaluation of annotations.
    whole = isinstance(value, int) and field.type in (float, "float")
    return isinstance(value, float) or whole
