"""From a command line and `conf/` to a typed Experiment that holds the chosen plugins."""

import copy
import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, errors, open_dict, read_write

from experiments import (
    choices,
    grouping,
    places,
    registry,
    screening,
    sizes,
    sources,
    validation,
)
from experiments.errors import ConfigError, options
from experiments.settings import Experiment, OnError
from experiments.translation import translated, translating

# Kinds of which an experiment takes several, each under its own name.
SEVERAL = ("transform", "metric", "augment")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command line asks for; `folder` is the run's or, of a sweep, that of all its runs."""

    experiment: Experiment
    multirun: bool
    folder: Path
    varied: frozenset[str] = frozenset()  # the settings that a sweep gives several values
    wrong: Mapping[str, str] = field(default_factory=dict)  # of a sweep's values, and why


def publish(root: Path, run_id: str) -> None:
    """Give Hydra every plugin as an option of its kind, and the values that `conf/` asks for."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Experiment)
    for kind in registry.KINDS:
        for name, plugin in registry.plugins(kind).items():
            package = f"{kind}.{name}" if kind in SEVERAL else kind
            store.store(group=kind, name=name, node=plugin, package=package)
    sources.bound()
    OmegaConf.register_new_resolver("oc.env", sources.environment, replace=True)
    for parser in ("oc.create", "oc.decode"):  # of text, which could stand for anything
        OmegaConf.clear_resolver(parser)
    OmegaConf.register_new_resolver("checkout", lambda: str(root), replace=True)
    OmegaConf.register_new_resolver("run_id", lambda: run_id, replace=True)
    scratch = Path(tempfile.gettempdir()) / f"experiments-{run_id}"
    OmegaConf.register_new_resolver("scratch", lambda: str(scratch), replace=True)


def plan(root: Path, name: str, overrides: Sequence[str], *, multirun: bool) -> Plan:
    """Compose what a command line asks for, without making a folder; raise ConfigError.

    A sweep's values are tried one by one, each beside the first of the others; the experiment is
    that of the first job.
    """
    sizes.check_lines([name, *overrides])
    with translating(), initialize_config_dir(str(root / "conf"), version_base="1.3"):
        parsed = _parse(overrides)
        _refuse_null(parsed)
        swept = {o.get_key_element() for o in parsed if o.is_sweep_override()}
        fixed = _lines(parsed)
        if not multirun and not swept:
            cfg = _composed(name, fixed)
            if cfg.hydra.mode is not RunMode.MULTIRUN:
                # A job of a sweep that goes on has `hydra.mode=RUN`, beside what made the sweep.
                for problem in validation.sweep_problems(cfg) if cfg.hydra.mode is None else ():
                    raise ConfigError(problem)
                return _planned(cfg, multirun=False)
        elif not multirun and not any(o.startswith("hydra.mode=") for o in fixed):
            raise ConfigError(f"{min(swept)} has several values; add -m to sweep over them.")
        return _plan_sweep(name, parsed)


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


def composer(
    compose: Callable[[Sequence[str]], DictConfig],
) -> Callable[[Sequence[str]], tuple[Experiment, dict[str, Any]]]:
    """Return the function from overrides to an experiment, and to its settings as plain data."""

    def composed(overrides: Sequence[str]) -> tuple[Experiment, dict[str, Any]]:
        with translating():
            cfg = _without_hydra(compose(overrides))
            return build(cfg), choices.plain(cfg)

    return composed


def _composed(name: str, lines: Sequence[str]) -> DictConfig:
    """Compose settings with Hydra's own, and refuse what would run code; raise ConfigError."""
    try:
        cfg = compose(name, list(lines), return_hydra_config=True)
    except (ConfigError, HydraException, errors.OmegaConfBaseException, RecursionError):
        raise
    except Exception as error:  # Hydra asserts what it does not check
        raise ConfigError(f"Hydra cannot compose this: {type(error).__name__}: {error}") from error
    for problem in screening.problems(cfg, lines):
        raise ConfigError(problem)
    return cfg


def _planned(cfg: DictConfig, *, multirun: bool, varied: frozenset[str] = frozenset()) -> Plan:
    """Take a composed configuration apart into the experiment and its folder."""
    with read_write(cfg), open_dict(cfg):
        hydra = cfg.pop("hydra")
        experiment = build(cfg)
        cfg.hydra = hydra
    scratch = Path(OmegaConf.create({"scratch": "${scratch:}"}).scratch)
    for problem in places.problems(experiment, hydra, multirun=multirun, scratch=scratch):
        raise ConfigError(problem)
    folder = Path(hydra.sweep.dir if multirun else hydra.run.dir)
    return Plan(experiment, multirun, folder, varied)


def _plan_sweep(name: str, parsed: Sequence[Override]) -> Plan:
    hydra = _composed(name, _lines(parsed)).hydra
    lines = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    sizes.check_lines(lines)
    intervals = hydra.sweeper._target_ in screening.SAMPLING
    values = choices.of([*_parse(lines), *parsed], intervals=intervals)
    base, first = _base(name, list(values.values()))
    bare = _without_hydra(copy.deepcopy(base))
    vary = grouping.varying(build(bare), choices.plain(bare))

    def check(line: str) -> None:
        number = grouping.number(line)
        if number and vary(number) is None:  # it is none in which runs may differ
            number = {}
        if not number:
            build(_without_hydra(_changed(bare, name, first, line)))

    wrong: dict[str, str] = {}
    for lines in values.values():
        failing = dict(_failing(check, [line for line in lines if line not in first]))
        if failing and (bare.on_error is OnError["stop"] or len(failing) == len(lines)):
            raise ConfigError(next(iter(failing.values())))
        wrong |= failing
    if intervals:
        varied = {key for key, lines in values.items() if len(lines) > 1}
    else:
        varied = _varied(name, choices.jobs_of(values, bare), bare)
    plan = _planned(base, multirun=True, varied=frozenset(varied))
    return dataclasses.replace(plan, wrong=wrong)


def _failing(check: Callable[[str], None], lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the overrides that cannot be composed, and why."""
    for line in lines:
        try:
            with translating():
                check(line)
        except ConfigError as error:
            yield line, str(error)


def _varied(name: str, jobs: Sequence[list[str]], bare: DictConfig) -> set[str]:
    """Return the settings in which jobs differ; raise ConfigError where a file's do not compose."""
    if bare.sweep.file is not None:
        build(_without_hydra(_composed(name, jobs[0])))
    lines = {line for job in jobs for line in job}
    counts = Counter(line.partition("=")[0] for line in lines)
    return {key for key, count in counts.items() if count > 1}


def _base(name: str, values: Sequence[list[str]]) -> tuple[DictConfig, list[str]]:
    """Compose the first values that can be composed; raise ConfigError where there are none."""
    wrong: ConfigError | None = None
    for place in range(max(map(len, values), default=1)):
        first = [lines[min(place, len(lines) - 1)] for lines in values]
        try:
            with translating():
                base = _composed(name, first)
                build(_without_hydra(copy.deepcopy(base)))
        except ConfigError as error:
            wrong = wrong or error
        else:
            if wrong and base.on_error is OnError["stop"]:
                raise wrong
            return base, first
    assert wrong is not None
    raise wrong


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


def _changed(base: DictConfig, name: str, first: Sequence[str], line: str) -> DictConfig:
    key = line.partition("=")[0]
    path = key.lstrip("+~")
    if path in registry.KINDS or OmegaConf.select(base, path) is None or "@" in path:
        # A later override of the same key wins only where Hydra merges values, so replace it.
        return _composed(name, [*(o for o in first if not o.startswith(f"{key}=")), line])
    changed = copy.deepcopy(base)
    with read_write(changed), open_dict(changed):
        OmegaConf.update(changed, path, OverridesParser.create().parse_override(line).value())
    return changed


def _without_hydra(cfg: DictConfig) -> DictConfig:
    with read_write(cfg), open_dict(cfg):
        cfg.pop("hydra", None)
    return cfg
