"""From a command line and `conf/` to a typed Experiment that holds the chosen plugins."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, errors, open_dict, read_write

from experiments.config import safety, sources, validation
from experiments.config.translation import translated, translating
from experiments.errors import ConfigError, UnsafeError, without_exit
from experiments.plugin import registry
from experiments.settings import Experiment, taken_several


def publish(root: Path, run_id: str) -> None:
    """Give Hydra every plugin as an option of its kind, and the values that `conf/` asks for."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Experiment)
    several = taken_several()
    for kind in registry.KINDS:
        for name, plugin in registry.plugins(kind).items():
            package = f"{kind}.{name}" if kind in several else kind
            store.store(group=kind, name=name, node=plugin, package=package)
    sources.bound()
    OmegaConf.register_new_resolver("oc.env", sources.variable, replace=True)
    for parser in ("oc.create", "oc.decode"):  # of text, which could stand for anything
        OmegaConf.clear_resolver(parser)
    OmegaConf.register_new_resolver("checkout", lambda: str(root), replace=True)
    OmegaConf.register_new_resolver("run_id", lambda: run_id, replace=True)
    scratch = Path(tempfile.gettempdir()) / f"experiments-{run_id}"
    OmegaConf.register_new_resolver("scratch", lambda: str(scratch), replace=True)


@contextmanager
def withdrawn() -> Iterator[None]:
    """Take back meanwhile what was published: processes that know no plugin get a copy of it."""
    repository = ConfigStore.instance().repo
    groups = {name: repository.pop(name) for name in ("schema.yaml", *registry.KINDS)}
    sources.bound(within=False)
    try:
        yield
    finally:
        repository.update(groups)
        sources.bound()


def build(cfg: DictConfig) -> Experiment:
    """Return the experiment that a composed configuration describes, or raise ConfigError."""
    try:
        for problem in validation.setting_problems(cfg):
            raise ConfigError(problem)
        with without_exit():
            experiment: Experiment = OmegaConf.to_object(cfg)  # type: ignore[assignment]
    except ConfigError:
        raise
    except Exception as error:  # of a plugin's own __post_init__, whatever it is
        raise translated(error) from error
    for problem in validation.misfits(experiment):
        raise ConfigError(problem)
    experiment.device.find()
    return experiment


def composer(
    compose: Callable[[Sequence[str]], DictConfig],
) -> Callable[[Sequence[str]], tuple[Experiment, dict[str, Any]]]:
    """Return the function from overrides to an experiment, and to its settings as plain data."""

    def built(overrides: Sequence[str]) -> tuple[Experiment, dict[str, Any]]:
        with translating():
            cfg = without_hydra(compose(overrides))
            return build(cfg), plain(cfg)

    return built


def composed(name: str, lines: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    """Compose settings with Hydra's own; raise ConfigError, of what would run code UnsafeError."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    try:
        cfg = hydra.compose_config(
            name, list(lines), mode, with_log_configuration=False, from_shell=False
        )
    except (ConfigError, HydraException, errors.OmegaConfBaseException, RecursionError):
        raise
    except Exception as error:  # Hydra asserts what it does not check
        told = " ".join(str(error).split())
        raise ConfigError(f"Hydra cannot compose this: {type(error).__name__}: {told}") from error
    for problem in safety.dangers(cfg, lines):
        raise UnsafeError(problem)
    return cfg


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse settings as they stand on a command line; Hydra raises where one is none."""
    loader = GlobalHydra.instance().config_loader()
    return OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return the settings of an experiment without Hydra's own."""
    with read_write(cfg), open_dict(cfg):
        cfg.pop("hydra", None)
    return cfg


def plain(config: DictConfig) -> Any:
    """Return a configuration as plain data, with its references as they are written."""
    return OmegaConf.to_container(config, resolve=False, enum_to_str=True)
