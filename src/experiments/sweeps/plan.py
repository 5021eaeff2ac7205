"""What a command line asks for: one experiment, or a sweep whose values are tried one by one."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from experiments.config import folders, limits, safety, texts, validation
from experiments.config.compose import build, composed, parse, plain, without_hydra
from experiments.config.translation import translating
from experiments.errors import ConfigError, UnsafeError, options
from experiments.plugin import registry
from experiments.process.isolation import isolated
from experiments.settings import Experiment, OnError
from experiments.sweeps import choices, groups

JOB = "run"  # Hydra's name of what it runs, and of its log


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command line asks for; `folder` is the run's or, of a sweep, that of all its runs.

    `config` is what Hydra has composed, with its own settings, and `context` composes more of it.
    """

    experiment: Experiment
    multirun: bool
    folder: Path
    config: DictConfig
    context: HydraContext
    lines: Sequence[str] = ()  # the settings as Hydra takes them
    varied: frozenset[str] = frozenset()  # the settings that a sweep gives several values
    jobs: Sequence[Sequence[str]] = ()  # of a sweep; of a search the values of each setting
    wrong: Mapping[str, str] = field(default_factory=dict)  # of a sweep's values, and why


@isolated()
def plan(root: Path, name: str, overrides: Sequence[str], *, multirun: bool) -> Plan:
    """Compose what a command line asks for, without making a folder; raise ConfigError.

    A sweep's values are tried one by one, each beside the first of the others; the experiment is
    that of the first job.
    """
    limits.check_lines([name, *overrides])
    with (
        translating(),
        initialize_config_dir(str(root / "conf"), version_base="1.3", job_name=JOB),
    ):
        lines = list(map(texts.as_typed, overrides))
        parsed = parse(lines)
        _refuse_null(parsed)
        swept = [override for override in parsed if override.is_sweep_override()]
        fixed = _lines(parsed)
        if not multirun and not swept:
            cfg = composed(name, fixed)
            if cfg.hydra.mode is not RunMode.MULTIRUN:
                # A job of a sweep that goes on has `hydra.mode=RUN`, beside what made the sweep.
                for problem in validation.sweep_problems(cfg) if cfg.hydra.mode is None else ():
                    raise ConfigError(problem)
                experiment, folder = _planned(cfg, multirun=False)
                return Plan(experiment, False, folder, cfg, _context(), lines)
        elif not multirun and not any(o.startswith("hydra.mode=") for o in fixed):
            several = (line for line, one in zip(overrides, parsed, strict=True) if one in swept)
            raise ConfigError(texts.several_values(next(several)))
        return _plan_sweep(name, parsed)


def _context() -> HydraContext:
    return HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())


def _planned(cfg: DictConfig, *, multirun: bool) -> tuple[Experiment, Path]:
    """Return the experiment and the folder of a composed configuration."""
    with read_write(cfg), open_dict(cfg):
        hydra = cfg.pop("hydra")
        experiment = build(cfg)
        cfg.hydra = hydra
    scratch = Path(OmegaConf.create({"scratch": "${scratch:}"}).scratch)
    for problem in folders.folder_problems(experiment, hydra, multirun=multirun, scratch=scratch):
        raise ConfigError(problem)
    return experiment, Path(hydra.sweep.dir if multirun else hydra.run.dir)


def _plan_sweep(name: str, parsed: Sequence[Override]) -> Plan:
    given = [o.input_line or "" for o in parsed]
    config = composed(name, given, mode=RunMode.MULTIRUN)
    own = parse(texts.of_params(config.hydra.sweeper.params))
    intervals = config.hydra.sweeper._target_ in safety.SAMPLING
    values = choices.of([*own, *parsed], intervals=intervals)
    base, first = _base(name, list(values.values()))
    bare = without_hydra(copy.deepcopy(base))
    vary = groups.varying(build(bare), plain(bare))

    def check(line: str) -> None:
        number = groups.number(line)
        if number and vary(number) is None:  # it is none in which runs may differ
            number = {}
        if not number:
            build(without_hydra(_changed(bare, name, first, line)))

    wrong: dict[str, str] = {}
    for lines in values.values():
        failing = dict(_failing(check, [line for line in lines if line not in first]))
        if failing and (bare.on_error is OnError["stop"] or len(failing) == len(lines)):
            raise ConfigError(next(iter(failing.values())))
        wrong |= failing
    if intervals:
        jobs = list(values.values())
        varied = {key for key, lines in values.items() if len(lines) > 1}
    else:
        jobs = choices.jobs_of(values, bare)
        varied = _varied(name, jobs, bare)
    experiment, folder = _planned(base, multirun=True)
    return Plan(experiment, True, folder, config, _context(), given, frozenset(varied), jobs, wrong)


def _failing(check: Callable[[str], None], lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the overrides that cannot be composed, and why."""
    for line in lines:
        try:
            with translating():
                check(line)
        except UnsafeError:
            raise
        except ConfigError as error:
            yield line, str(error)


def _varied(name: str, jobs: Sequence[list[str]], bare: DictConfig) -> set[str]:
    """Return the settings in which jobs differ; raise ConfigError where a file's are refused."""
    if bare.sweep.file is not None:
        choices.check_rows(name, jobs)
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
                base = composed(name, first)
                build(without_hydra(copy.deepcopy(base)))
        except UnsafeError:
            raise
        except ConfigError as error:
            wrong = wrong or error
        else:
            if wrong and base.on_error is OnError["stop"]:
                raise wrong
            return base, first
    assert wrong is not None
    raise wrong


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
        return composed(name, [*(o for o in first if not o.startswith(f"{key}=")), line])
    changed = copy.deepcopy(base)
    with read_write(changed), open_dict(changed):
        OmegaConf.update(changed, path, OverridesParser.create().parse_override(line).value())
    return changed
