"""From a command line and `conf/` to a typed Experiment that holds the chosen plugins."""

import copy
import dataclasses
import secrets
import time
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf, errors, open_dict, read_write

from experiments import bounds, discovery, registry
from experiments.errors import ConfigError, options
from experiments.interfaces import Plugin
from experiments.settings import Experiment

# Kinds of which an experiment takes several, each under its own name.
SEVERAL = ("transform", "metric")


def publish(root: Path) -> None:
    """Give Hydra every plugin as an option of its kind, and the values that `conf/` asks for."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Experiment)
    for kind in registry.KINDS:
        for name, plugin in registry.plugins(kind).items():
            package = f"{kind}.{name}" if kind in SEVERAL else kind
            store.store(group=kind, name=name, node=plugin, package=package)
    OmegaConf.register_new_resolver("checkout", lambda: str(root), replace=True)
    OmegaConf.register_new_resolver("run_id", new_run_id, use_cache=True, replace=True)


def new_run_id() -> str:
    """Return a name for a run's folder that sorts by time and that no other run has."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def check(root: Path, name: str, overrides: Sequence[str], *, multirun: bool) -> Experiment:
    """Return the experiment of a command line; of a sweep the first, with every value tried.

    A sweep's values are tried one by one beside the first of the others. Raises ConfigError.
    """
    try:
        with initialize_config_dir(str(root / "conf"), version_base="1.3"):
            if not multirun:
                return build(compose(name, list(overrides)))
            return _check_sweep(name, overrides)
    except (HydraException, errors.OmegaConfBaseException, ValueError) as error:
        raise translated(error) from error


def build(cfg: DictConfig) -> Experiment:
    """Return the experiment that a composed configuration describes, or raise ConfigError."""
    try:
        for problem in _problems(cfg, ""):
            raise ConfigError(problem)
        experiment: Experiment = OmegaConf.to_object(cfg)  # type: ignore[assignment]
    except errors.OmegaConfBaseException as error:
        raise translated(error) from error
    _check_schedules(experiment)
    return experiment


def translated(error: BaseException) -> ConfigError:
    """Return Hydra's or omegaconf's error as one line: key, value, allowed, nearest."""
    if isinstance(error, MissingConfigException):
        return ConfigError(_no_such_option(error))
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if not isinstance(cause, errors.OmegaConfBaseException) or not cause.full_key:
        return ConfigError(_one_line(error))
    if isinstance(cause, (errors.ConfigKeyError, errors.ConfigAttributeError)):
        return ConfigError(_no_such_key(str(cause.full_key), cause.object_type))
    value = "" if cause.value is None else f"={cause.value}"
    return ConfigError(f"{cause.full_key}{value}: {str(cause.msg).splitlines()[0]}.")


def describe(value: Any) -> Any:
    """Return settings as plain data, each plugin with its kind and name under `plugin`."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {key: describe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    own = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Plugin):
        cls = type(value)
        return {"plugin": f"{registry.kind_of(cls)}/{registry.name_of(cls)}", **own}
    return own


def restore(description: dict[str, Any]) -> Any:
    """Return the plugin that `describe` described."""
    kind, name = description["plugin"].split("/")
    fields = {key: value for key, value in description.items() if key != "plugin"}
    schema = OmegaConf.structured(registry.lookup(kind, name))
    return OmegaConf.to_object(OmegaConf.merge(schema, fields))


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


def _check_sweep(name: str, overrides: Sequence[str]) -> Experiment:
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed = parser.parse_overrides(list(overrides))
    fixed = [o.input_line for o in parsed if not o.is_sweep_override()]
    probe = compose(name, fixed, return_hydra_config=True)
    presets = [f"{key}={value}" for key, value in (probe.hydra.sweeper.params or {}).items()]
    parsed += parser.parse_overrides(presets)
    swept = {o.get_key_element(): _values(o) for o in parsed if o.is_sweep_override()}
    first = [*fixed, *(f"{key}={values[0]}" for key, values in swept.items())]
    first += [o.input_line for o in parser.parse_overrides(presets) if not o.is_sweep_override()]
    base = compose(name, first)
    for key, values in swept.items():
        for value in values[1:]:
            build(_with(base, name, first, key, value))
    return build(base)


def _values(override: Override) -> list[str]:
    values = list(override.sweep_string_iterator())
    if not values:
        raise ConfigError(f"{override.input_line}: there is nothing to sweep over.")
    return values


def _with(base: DictConfig, name: str, first: list[str], key: str, value: str) -> DictConfig:
    path = key.lstrip("+~")
    if path in registry.KINDS or OmegaConf.select(base, path) is None or "@" in path:
        # A later override of the same key wins only where Hydra merges values, so replace it.
        return compose(name, [o for o in first if not o.startswith(f"{key}=")] + [f"{key}={value}"])
    changed = copy.deepcopy(base)
    parsed = OverridesParser.create().parse_override(f"{key}={value}").value()
    with read_write(changed), open_dict(changed):
        OmegaConf.update(changed, path, parsed)
    return changed


def _problems(node: DictConfig, prefix: str) -> Iterator[str]:
    fields = _fields(OmegaConf.get_type(node))
    for key in map(str, node):
        if OmegaConf.is_missing(node, key):
            yield f"{prefix}{key} is not set; give it a value."
            continue
        if fields and key not in fields:
            yield _no_such_key(f"{prefix}{key}", OmegaConf.get_type(node))
        value = node[key]
        if isinstance(value, DictConfig):
            yield from _problems(value, f"{prefix}{key}.")
        elif fields and (problem := bounds.problem(fields[key], _plain(value))):
            yield f"{prefix}{key}={value}: {problem}."
    if issubclass(OmegaConf.get_type(node) or object, Plugin):
        yield from _refusals(node, prefix.removesuffix("."))


def _refusals(node: DictConfig, key: str) -> Iterator[str]:
    try:
        OmegaConf.to_object(node)
    except (ValueError, TypeError) as error:  # of the plugin's own __post_init__
        if isinstance(error, errors.OmegaConfBaseException):
            raise
        yield f"{key}: {error}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, ListConfig) else value


def _one_line(error: BaseException) -> str:
    if isinstance(error, OverrideParseException):
        return f"'{error.override}' is no setting of the form key=value."
    return " ".join(str(error).split())


def _fields(cls: type[Any] | None) -> dict[str, dataclasses.Field[Any]]:
    if cls is None or not dataclasses.is_dataclass(cls):
        return {}
    return {field.name: field for field in dataclasses.fields(cls)}


def _no_such_key(key: str, owner: type[Any] | None) -> str:
    last = key.rpartition(".")[2]
    return f"There is no setting {key}; {options(last, _fields(owner))}"


def _no_such_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    group, _, name = missing.rpartition("/")
    if cause := discovery.broken(name):
        return cause
    known = error.options or list(registry.plugins(group) if group in registry.KINDS else ())
    return f"There is no {group}={name}; {options(name, known)}" if group else str(error)


def _check_schedules(experiment: Experiment) -> None:
    rule = experiment.optimizer
    numbers = {f.name for f in dataclasses.fields(rule) if isinstance(getattr(rule, f.name), float)}
    for name in experiment.schedules:
        if name == "lr" or name not in numbers:
            hint = "use schedule=... for lr" if name == "lr" else options(name, numbers - {"lr"})
            raise ConfigError(f"schedules.{name}: it is no schedulable number of the rule; {hint}")
