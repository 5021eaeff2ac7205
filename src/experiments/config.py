"""From a command line and `conf/` to a typed Experiment that holds the chosen plugins."""

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, errors, open_dict, read_write

from experiments import discovery, registry, validation
from experiments.errors import ConfigError, options
from experiments.settings import Experiment

# Kinds of which an experiment takes several, each under its own name.
SEVERAL = ("transform", "metric", "augment")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command line asks for; `folder` is the run's or, of a sweep, that of all its runs."""

    experiment: Experiment
    multirun: bool
    folder: Path
    varied: frozenset[str] = frozenset()  # the settings that a sweep gives several values


def publish(root: Path, run_id: str) -> None:
    """Give Hydra every plugin as an option of its kind, and the values that `conf/` asks for."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Experiment)
    for kind in registry.KINDS:
        for name, plugin in registry.plugins(kind).items():
            package = f"{kind}.{name}" if kind in SEVERAL else kind
            store.store(group=kind, name=name, node=plugin, package=package)
    OmegaConf.register_new_resolver("checkout", lambda: str(root), replace=True)
    OmegaConf.register_new_resolver("run_id", lambda: run_id, replace=True)
    scratch = Path(tempfile.gettempdir()) / f"experiments-{run_id}"
    OmegaConf.register_new_resolver("scratch", lambda: str(scratch), replace=True)


def plan(root: Path, name: str, overrides: Sequence[str], *, multirun: bool) -> Plan:
    """Compose what a command line asks for, without making a folder; raise ConfigError.

    A sweep's values are tried one by one, each beside the first of the others; the experiment is
    that of the first job.
    """
    try:
        with initialize_config_dir(str(root / "conf"), version_base="1.3"):
            parsed = _parse(overrides)
            _refuse_null(parsed)
            swept = {o.get_key_element() for o in parsed if o.is_sweep_override()}
            fixed = _lines(parsed)
            if not multirun and not swept:
                cfg = compose(name, fixed, return_hydra_config=True)
                if cfg.hydra.mode is not RunMode.MULTIRUN:
                    return Plan(_strip(cfg), False, Path(cfg.hydra.run.dir))
            elif not multirun and not any(o.startswith("hydra.mode=") for o in fixed):
                raise ConfigError(f"{min(swept)} has several values; add -m to sweep over them.")
            return _plan_sweep(name, parsed)
    except (HydraException, errors.OmegaConfBaseException, ValueError) as error:
        raise translated(error) from error


def build(cfg: DictConfig) -> Experiment:
    """Return the experiment that a composed configuration describes, or raise ConfigError."""
    try:
        for problem in validation.problems(cfg):
            raise ConfigError(problem)
        experiment: Experiment = OmegaConf.to_object(cfg)  # type: ignore[assignment]
    except errors.OmegaConfBaseException as error:
        raise translated(error) from error
    for problem in validation.misfits(experiment):
        raise ConfigError(problem)
    experiment.device.find()
    return experiment


def translated(error: BaseException) -> ConfigError:
    """Return Hydra's or omegaconf's error as one line: key, value, allowed, nearest."""
    if isinstance(error, MissingConfigException):
        return ConfigError(_no_such_option(error))
    if isinstance(error, OverrideParseException):
        return ConfigError(f"'{error.override}' is no setting of the form key=value.")
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, errors.OmegaConfBaseException) and cause.full_key:
        return ConfigError(validation.one_line(cause))
    return ConfigError(" ".join(str(error).split()))


def _strip(cfg: DictConfig) -> Experiment:
    with read_write(cfg), open_dict(cfg):
        hydra = cfg.pop("hydra")
        experiment = build(cfg)
        cfg.hydra = hydra
    return experiment


def _plan_sweep(name: str, parsed: Sequence[Override]) -> Plan:
    hydra = compose(name, _lines(parsed), return_hydra_config=True).hydra
    presets = _parse([f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()])
    # A later setting of the same key wins, as in Hydra's sweeper.
    choices = {o.get_key_element(): _choices(o) for o in [*presets, *parsed]}
    first = [lines[0] for lines in choices.values()]
    base = compose(name, first)
    for lines in choices.values():
        for line in lines[1:]:
            build(_changed(base, name, first, line))
    varied = frozenset(key for key, lines in choices.items() if len(lines) > 1)
    return Plan(build(base), True, Path(hydra.sweep.dir), varied)


def _parse(overrides: Sequence[str]) -> list[Override]:
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))


def _refuse_null(parsed: Sequence[Override]) -> None:
    for override in parsed:
        kind = override.key_or_group
        if kind in registry.KINDS and override.value() is None and not override.is_delete():
            allowed = options("null", registry.plugins(kind))
            raise ConfigError(f"{kind}=null: name the {kind} to use; {allowed}")


def _lines(parsed: Sequence[Override]) -> list[str]:
    return [o.input_line or "" for o in parsed if not o.is_sweep_override()]


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    lines = [f"{override.get_key_element()}={v}" for v in override.sweep_string_iterator()]
    if not lines:
        raise ConfigError(f"{override.input_line}: there is nothing to sweep over.")
    return lines


def _changed(base: DictConfig, name: str, first: Sequence[str], line: str) -> DictConfig:
    key = line.partition("=")[0]
    path = key.lstrip("+~")
    if path in registry.KINDS or OmegaConf.select(base, path) is None or "@" in path:
        # A later override of the same key wins only where Hydra merges values, so replace it.
        return compose(name, [*(o for o in first if not o.startswith(f"{key}=")), line])
    changed = copy.deepcopy(base)
    with read_write(changed), open_dict(changed):
        OmegaConf.update(changed, path, OverridesParser.create().parse_override(line).value())
    return changed


def _no_such_option(error: MissingConfigException) -> str:
    missing = str(error.missing_cfg_file)
    group, _, name = missing.rpartition("/")
    if cause := discovery.broken(name):
        return cause
    known = error.options or list(registry.plugins(group) if group in registry.KINDS else ())
    return f"There is no {group}={name}; {options(name, known)}" if group else str(error)
