"""Where the numbers of a rule are to be looked for, as its fields declare."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from experiments.errors import ConfigError
from experiments.plugin.bounds import Range
from experiments.sweeps.search.space import Categories, Space, Span, near_one


class Sourced(NamedTuple):
    """Where a number is looked for, and who says so."""

    span: Span
    source: str


def of_rule(config: DictConfig, varied: Space, fixed: Mapping[str, str]) -> dict[str, Sourced]:
    """Return where to look for the numbers of the chosen rule and its transforms, by their keys.

    What the command line varies or fixes is left out. Raises ConfigError where the rule itself is
    varied, and where there is nothing to look for.
    """
    for kind in ("optimizer", "transform"):
        if isinstance(varied.get(kind), Categories):
            raise ConfigError(
                f"hydra.sweeper.space=rule: {kind}={varied[kind]} are several rules, each with "
                "numbers of its own; search for those of one at a time."
            )
    rule = OmegaConf.select(config, "optimizer")
    found = dict(_ranges("optimizer", rule))
    for name, transform in (OmegaConf.select(config, "transform") or {}).items():
        found |= _ranges(f"transform.{name}", transform)
    if not found:
        cls: Any = OmegaConf.get_type(rule)
        raise ConfigError(
            f"hydra.sweeper.space=rule: {cls.__name__} does not say where to look for its numbers; "
            "its fields do by number(..., space=log_range(LOW, HIGH))."
        )
    free = found.keys() - varied.keys() - fixed.keys()
    return {key: Sourced(_span(found[key]), found[key].source) for key in sorted(free)}


def _span(own: Range) -> Span:
    if own.scale == "complement":
        return near_one(own.low, own.high)
    whole = isinstance(own.low, int) and isinstance(own.high, int)
    return Span(own.low, own.high, 1 if whole else None, own.scale == "log")


def _ranges(key: str, node: Any) -> Iterator[tuple[str, Range]]:
    """Yield the ranges of a plugin's fields, and of the plugins that it holds."""
    cls = OmegaConf.get_type(node)
    own: dict[str, Field[Any]] = {f.name: f for f in fields(cls)} if is_dataclass(cls) else {}
    for name in node:
        if found := own[name].metadata.get("space") if name in own else None:
            yield f"{key}.{name}", found
        elif isinstance(inner := node[name], DictConfig):
            yield from _ranges(f"{key}.{name}", inner)
