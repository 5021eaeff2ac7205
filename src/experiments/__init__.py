"""Experiments with gradient descent, written by hand and composed of plugins.

A plugin's file needs nothing but the names exported here.
"""

from typing import TYPE_CHECKING, Any

from experiments.errors import ConfigError, DataError, options
from experiments.plugin.averages import ema
from experiments.plugin.bounds import complement_range, linear_range, log_range, number
from experiments.plugin.kinds import (
    Augment,
    Dataset,
    Device,
    Landmarks,
    Loss,
    Metric,
    Model,
    Schedule,
)
from experiments.plugin.registry import lookup, plugins, register
from experiments.plugin.rulepart import Optimizer, Route, Transform
from experiments.plugin.spec import (
    Batch,
    ClassWeights,
    DataSpec,
    MemoryFormat,
    Network,
    Parameter,
    Precision,
    Scope,
    Splits,
    State,
    Task,
    Unit,
)

if TYPE_CHECKING:
    from experiments.api.script import run, sweep
    from experiments.plugin.draws import Draws

__all__ = [
    "Augment",
    "Batch",
    "ClassWeights",
    "ConfigError",
    "DataError",
    "DataSpec",
    "Dataset",
    "Device",
    "Draws",
    "Landmarks",
    "Loss",
    "MemoryFormat",
    "Metric",
    "Model",
    "Network",
    "Optimizer",
    "Parameter",
    "Precision",
    "Route",
    "Schedule",
    "Scope",
    "Splits",
    "State",
    "Task",
    "Transform",
    "Unit",
    "complement_range",
    "ema",
    "linear_range",
    "log_range",
    "lookup",
    "number",
    "options",
    "plugins",
    "register",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import what trains when it is asked for: it brings torch, which takes seconds."""
    if name in ("run", "sweep"):
        from experiments.api import script

        return getattr(script, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
