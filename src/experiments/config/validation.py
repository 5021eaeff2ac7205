"""Say what is wrong with a composed configuration: key, value, what is allowed, nearest name."""

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf, errors

from experiments.config import folders
from experiments.errors import options
from experiments.plugin import bounds, failure
from experiments.plugin.kinds import Plugin
from experiments.settings import Experiment
from experiments.text import shortened

_VALUE = 100  # characters of a value that a message shows


def setting_problems(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield what is missing, unknown, out of bounds or refused by a plugin, each as one line."""
    fields = _fields(OmegaConf.get_type(node))
    for key in map(str, node):
        if fields and key not in fields:
            yield no_such_key(f"{prefix}{key}", OmegaConf.get_type(node))
        if OmegaConf.is_missing(node, key):
            yield f"{prefix}{key} is not set; give it a value."
            continue
        value = node[key]
        if isinstance(value, DictConfig):
            yield from setting_problems(value, f"{prefix}{key}.")
        elif fields and (problem := bounds.problem(fields[key], _plain(value))):
            yield f"{prefix}{key}={shortened(str(value), _VALUE)}: {problem}."
    if issubclass(OmegaConf.get_type(node) or object, Plugin):
        try:
            OmegaConf.to_object(node)
        except errors.OmegaConfBaseException:
            raise
        except Exception as error:  # of the plugin's own __post_init__
            yield f"{prefix.removesuffix('.')}: {failure.reason(error)}"


def misfits(experiment: Experiment) -> Iterator[str]:
    """Yield what only the whole experiment shows to be wrong."""
    if wrong := next(_ill_typed(experiment), None):
        yield wrong
        return
    yield from folders.tracking_problems(experiment.tracking)
    rule = experiment.optimizer
    numbers = {f.name for f in dataclasses.fields(rule) if isinstance(getattr(rule, f.name), float)}
    for name in experiment.schedules:
        if name == "lr" or name not in numbers:
            hint = "use schedule=... for lr" if name == "lr" else options(name, numbers - {"lr"})
            yield f"schedules.{name}: it is no schedulable number of the rule; {hint}"


def sweep_problems(cfg: DictConfig) -> Iterator[str]:
    """Yield what a configuration of one run has that makes several."""
    for key, single in (("repeats", 1), ("sweep.file", None), ("sweep.zip", [])):
        if OmegaConf.select(cfg, key) != single:
            yield f"{key} makes several runs; add -m to sweep over them."


def no_such_key(key: str, owner: type[Any] | None, known: Collection[str] = ()) -> str:
    """Say that a class has no such field, and which it has, or which are `known` of a mapping."""
    hint = options(key.rpartition(".")[2], _fields(owner) or known)
    if key.startswith("schedules.") and not _fields(owner):
        hint = _scheduled(key)
    return f"There is no setting {key}; {hint}"


def one_line(error: errors.OmegaConfBaseException) -> str:
    """Return omegaconf's error about one key as one line."""
    if isinstance(error, (errors.ConfigKeyError, errors.ConfigAttributeError)):
        owner = error.parent_node  # a mapping has what was put into it
        known = list(map(str, owner)) if isinstance(owner, DictConfig) else []
        return no_such_key(str(error.full_key), error.object_type, known)
    value = "" if error.value is None else f"={shortened(str(error.value), _VALUE)}"
    lines = str(error.msg).splitlines() or [type(error).__name__]
    if "is not Optional" in lines[0]:
        return f"{error.full_key}=null: it needs a value."
    if "not a subclass of Schedule" in lines[0]:
        return f"{error.full_key}{value} is no schedule; {_scheduled(str(error.full_key))}"
    return f"{error.full_key}{value}: {shortened(lines[0].rstrip('.'), 2 * _VALUE)}."


def _scheduled(key: str) -> str:
    """Say how a number of the rule is given a schedule."""
    number = key.removeprefix("schedules.").partition(".")[0]
    return f"write +schedule@schedules.{number}=NAME to give a number of the rule a schedule."


def _ill_typed(experiment: Experiment) -> Iterator[str]:
    """Yield the parts that are of another type, as omegaconf lets a reference to one be."""
    for name, hint in get_type_hints(Experiment).items():
        value, wanted = getattr(experiment, name), get_origin(hint) or hint
        if wanted not in (dict, list) and not dataclasses.is_dataclass(wanted):
            continue  # a plain value, whose type omegaconf keeps to
        parts = {name: (value, wanted)}
        if isinstance(value, dict) and wanted is dict:
            item = get_args(hint)[1]
            parts |= {f"{name}.{key}": (part, item) for key, part in value.items()}
        for key, (part, cls) in parts.items():
            if not isinstance(part, cls):
                told = shortened(str(part), _VALUE)
                yield f"{key}={told}: must be of the type {cls.__name__}."


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, ListConfig) else value


def _fields(cls: type[Any] | None) -> dict[str, dataclasses.Field[Any]]:
    if cls is None or not dataclasses.is_dataclass(cls):
        return {}
    return {field.name: field for field in dataclasses.fields(cls)}
