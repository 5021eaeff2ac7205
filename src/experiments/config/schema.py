"""What stands under a dotted key: the fields that it may be, of whichever plugins are chosen."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from hydra.conf import HydraConf

from experiments.plugin import registry
from experiments.plugin.kinds import Plugin
from experiments.settings import Experiment


class Place(NamedTuple):
    """A value's type, and its field; an item of a mapping has none."""

    hint: Any
    field: dataclasses.Field[Any] | None = None


def places(key: str) -> list[Place]:
    """Return what a key may stand for, of a plugin's field whichever of its kind it is."""
    is_hydra = key.startswith("hydra.")
    found = [Place(HydraConf if is_hydra else Experiment)]
    for name in key.removeprefix("hydra.").split("."):
        found = [inner for place in found for inner in _below(place.hint, name)]
    return found


def is_repeat(key: str) -> bool:
    """Say whether runs that differ in a setting alone are repetitions of one experiment."""
    fields = [place.field for place in places(key.lstrip("+"))]
    return any(field is not None and field.metadata.get("repeats", False) for field in fields)


def alternatives(hint: Any) -> Sequence[Any]:
    """Return the types that a type allows, but for None."""
    if get_origin(hint) in (Union, UnionType):
        return [one for one in get_args(hint) if one is not NoneType]
    return [hint]


def _below(hint: Any, name: str) -> Iterator[Place]:
    """Yield what a value of a type may hold under a name."""
    for owner in alternatives(hint):
        if get_origin(owner) is dict:
            yield Place(get_args(owner)[1])
        elif dataclasses.is_dataclass(owner):
            yield from (_fields(cls)[name] for cls in _classes(owner) if name in _fields(cls))


def _classes(owner: Any) -> Iterable[Any]:
    """Return the classes that a value may be of: of a kind all its plugins."""
    if issubclass(owner, Plugin):
        return registry.plugins(registry.kind_of(owner)).values()
    return [owner]


@cache
def _fields(cls: Any) -> dict[str, Place]:
    hints = get_type_hints(cls)
    return {field.name: Place(hints[field.name], field) for field in dataclasses.fields(cls)}
