"""The numbers of a plugin as tensors, so that schedules and lanes change values and not code."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import torch

from experiments.interfaces import Plugin, Tensors

P = TypeVar("P", bound=Plugin)


def numbers(plugins: Sequence[Plugin], device: torch.device) -> Tensors:
    """Return the float fields of one plugin as 0-d tensors, or of K lanes' plugins as [K].

    They are float64 where the device has it: it leaves the dtype of float32 parameters alone, and
    keeps terms such as a bias correction exact.
    """
    dtype = torch.float32 if device.type == "mps" else torch.float64
    first = plugins[0]
    names = [f.name for f in dataclasses.fields(first) if isinstance(getattr(first, f.name), float)]
    rows = {name: [getattr(plugin, name) for plugin in plugins] for name in names}
    return {
        name: torch.tensor(row if len(row) > 1 else row[0], dtype=dtype, device=device)
        for name, row in rows.items()
    }


def filled(plugin: P, values: Tensors) -> P:
    """Return a copy of the plugin with tensors in place of its numbers."""
    twin = copy.copy(plugin)
    for name, value in values.items():
        setattr(twin, name, value)
    return twin
