"""Experiments with gradient descent, written by hand and composed of plugins.

A plugin's file needs nothing but the names exported here.
"""

from experiments.averages import ema
from experiments.bounds import number
from experiments.errors import ConfigError, DataError, options
from experiments.interfaces import (
    Augment,
    Dataset,
    DataSpec,
    Device,
    Loss,
    Metric,
    MemoryFormat,
    Model,
    Network,
    Optimizer,
    Parameter,
    Precision,
    Schedule,
    Splits,
    State,
    Task,
    Transform,
    Unit,
)
from experiments.registry import lookup, plugins, register

__all__ = [
    "Augment",
    "ConfigError",
    "DataError",
    "DataSpec",
    "Dataset",
    "Device",
    "Loss",
    "MemoryFormat",
    "Metric",
    "Model",
    "Network",
    "Optimizer",
    "Parameter",
    "Precision",
    "Schedule",
    "Splits",
    "State",
    "Task",
    "Transform",
    "Unit",
    "ema",
    "lookup",
    "number",
    "options",
    "plugins",
    "register",
]
