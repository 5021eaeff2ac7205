"""Every plugin by kind and name."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import CodeType, MappingProxyType
from typing import TypeVar, dataclass_transform

from experiments.errors import ConfigError, options
from experiments.plugin import kinds, rulepart
from experiments.plugin.kinds import Plugin

P = TypeVar("P", bound=Plugin)

KINDS: dict[str, type[Plugin]] = {
    "dataset": kinds.Dataset,
    "model": kinds.Model,
    "optimizer": rulepart.Optimizer,
    "device": kinds.Device,
    "loss": kinds.Loss,
    "schedule": kinds.Schedule,
    "metric": kinds.Metric,
    "transform": rulepart.Transform,
    "augment": kinds.Augment,
}

# It stands in command lines, in files' names and in dotted keys.
_NAME = re.compile(r"\w[\w-]{0,99}")
_plugins: dict[str, dict[str, type[Plugin]]] = {kind: {} for kind in KINDS}
_names: dict[type[Plugin], str] = {}


@dataclass_transform(kw_only_default=True)
def register(name: str) -> Callable[[type[P]], type[P]]:
    """Make the class a dataclass and file it under its kind and `name`.

    Raises ConfigError where another file has taken the name or it is no plain one, TypeError where
    the class derives from no kind's base class or is made in a way of its own.
    """

    def file(cls: type[P]) -> type[P]:
        if "__init__" in vars(cls):
            raise TypeError(
                f"{cls.__name__} has an __init__ of its own: declare settings as fields, as in "
                "`lr: float = 0.1`, and make in __post_init__ what follows from them."
            )
        # Slots would make another class of it, to which its super() calls do not belong.
        plugin = dataclasses.dataclass(kw_only=True)(cls)
        _inherit_limits(plugin)
        kind = kind_of(plugin)
        if not _NAME.fullmatch(name):
            told = f"{kind}={name!a} of {source(plugin)}"
            raise ConfigError(f"{told}: a plugin's name is made of letters, digits, _ and -.")
        taken = _plugins[kind].get(name)
        if taken is not None and source(taken) != source(plugin):
            raise ConfigError(
                f"Two plugins are called {kind}={name}: {source(taken)} and {source(plugin)}."
            )
        _plugins[kind][name] = plugin
        _names[plugin] = name
        return plugin

    return file


def _inherit_limits(plugin: type[Plugin]) -> None:
    """Let a field that is declared anew without limits keep those of its base class."""
    for field in dataclasses.fields(plugin):
        for base in plugin.__mro__[1:]:
            above = getattr(base, "__dataclass_fields__", {}).get(field.name)
            if above is not None and "limits" not in field.metadata:
                field.metadata = MappingProxyType(dict(field.metadata) | dict(above.metadata))


def kind_of(plugin: type[Plugin]) -> str:
    """Name the kind whose base class the plugin derives from."""
    for kind, base in KINDS.items():
        if issubclass(plugin, base):
            return kind
    raise TypeError(f"{plugin.__name__} derives from none of: {', '.join(KINDS)}.")


def name_of(plugin: type[Plugin]) -> str:
    """Return the name that a plugin is registered by."""
    return _names[plugin]


def plugins(kind: str) -> dict[str, type[Plugin]]:
    """Return the plugins of a kind by name."""
    return dict(_plugins[kind])


def lookup(kind: str, name: str) -> type[Plugin]:
    """Return a plugin by name, or raise ConfigError with the nearest one."""
    if name not in _plugins[kind]:
        raise ConfigError(f"There is no {kind}={name}; {options(name, _plugins[kind])}")
    return _plugins[kind][name]


def source(plugin: type[Plugin]) -> str:
    """Return the file that defines a plugin, or the name of the module where it is in none."""
    try:
        return inspect.getfile(plugin)
    except (TypeError, OSError):  # of a notebook's cell
        return f"<{plugin.__module__}>"


def code_of(plugin: type[Plugin]) -> bytes:
    """Return what a plugin does: its file, or where it is in none its functions."""
    file = Path(source(plugin))
    if file.is_file():
        return file.read_bytes()
    functions = [f for _, f in inspect.getmembers(plugin, inspect.isfunction)]
    return b"".join(_code(function.__code__) for function in functions)


def _code(code: CodeType) -> bytes:
    """Return what a function does, in the same bytes in every process."""
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        inner = isinstance(constant, CodeType)
        parts.append(_code(constant) if inner else repr(constant).encode())
    return b"".join(parts)
