"""Settings as plain data that can be stored, and plugins made again from it."""

import dataclasses
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf
from torch import Tensor

from experiments.plugin import registry
from experiments.plugin.kinds import Plugin
from experiments.plugin.spec import DataSpec, Task, Tensors
from experiments.process.secrecy import clean

SPEC_NUMBERS = ("mean", "std", "target_mean", "target_std")  # of a data set's spec
_FACTS = ("input_shape", "classes", "targets", "counts")
_NUMBER = re.compile(r"[-+.\d_]*\d[\d_.]*([eE][-+]?\d+)?|[-+]?\.?(inf|nan)", re.IGNORECASE)


def describe(value: Any) -> Any:
    """Return settings as plain data, each plugin with its kind and name under `plugin`."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return clean(value)
    own = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Plugin):
        cls = type(value)
        return {"plugin": f"{registry.kind_of(cls)}/{registry.name_of(cls)}", **own}
    return own


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes YAML that omegaconf reads again, tens of times faster than its own."""


def _quoted_number(dumper: Any, text: str) -> Any:
    # YAML takes 1e-3 for text, omegaconf for a number.
    style = "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted_number)


def to_yaml(settings: Any) -> str:
    """Return plain data as YAML."""
    text: str = yaml.dump(settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def restore(description: dict[str, Any]) -> Any:
    """Return the plugin that `describe` described."""
    return OmegaConf.to_object(_typed(description))


def _typed(value: Any) -> Any:
    """Return plain data with plugins' configurations, which have types, for descriptions."""
    if not isinstance(value, dict):
        return value
    fields = {key: _typed(own) for key, own in value.items() if key != "plugin"}
    if "plugin" not in value:
        return fields
    kind, name = value["plugin"].split("/")
    return OmegaConf.merge(OmegaConf.structured(registry.lookup(kind, name)), fields)


def describe_spec(spec: DataSpec) -> tuple[dict[str, Any], Tensors]:
    """Return what a data set's spec holds, as plain data and as named tensors."""
    facts = {name: getattr(spec, name) for name in _FACTS}
    numbers = {f"spec/{name}": getattr(spec, name) for name in SPEC_NUMBERS}
    return facts | {"task": spec.task.name}, {
        name: value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        for name, value in numbers.items()
    }


def restore_spec(facts: Mapping[str, Any], tensors: Tensors) -> DataSpec:
    """Return the spec that `describe_spec` described."""
    fields: dict[str, Any] = {name: tuple(facts.get(name, ())) for name in _FACTS}
    fields |= {n: tensors[f"spec/{n}"] for n in SPEC_NUMBERS if f"spec/{n}" in tensors}
    return DataSpec(task=Task[facts["task"]], **fields)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return plain data as dotted names: {"model": "mlp", "model.hidden": [128], ...}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "plugin":
            flat[prefix.removesuffix(".")] = value.partition("/")[2]
        elif isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
