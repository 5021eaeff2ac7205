"""Where configuration is read from: YAML files of a bounded size, in folders and nowhere else."""

import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, EnumNode, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc
from yaml import YAMLError

from experiments.config import limits, texts
from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.process import secrecy
from experiments.settings import Experiment

_SEARCHPATH, _PLUGINS = "hydra.searchpath", "plugin_path"
_MAIN = "counts on the command line and in the main file of conf/ alone; give it there"


class BoundedFiles(FileConfigSource):
    """A folder whose YAML files are checked before they are read."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file's configuration; raise ConfigError where it cannot be taken as it is."""
        path = Path(self.path, self._normalize_file_name(config_path))
        if path.exists():
            _check(path)
        result = super().load_config(config_path)
        if isinstance(result.config, DictConfig) and _PLUGINS in result.config:
            if "/" in config_path:
                raise ConfigError(f"{path}: {_PLUGINS} {_MAIN}.")
            result.config[_PLUGINS] = _strings(result.config[_PLUGINS], _PLUGINS)
        return result


def bound(*, within: bool = True) -> None:
    """Let Hydra read YAML files by `BoundedFiles` only, or as it would by itself."""
    Plugins.instance()  # registers Hydra's own sources, once
    source = BoundedFiles if within else FileConfigSource
    SourcesRegistry.instance().types[source.scheme()] = source


def checked_folders(
    root: Path, name: str, lines: Sequence[str], folder: str | None = None
) -> list[str]:
    """Check where a command line reads from, before it is composed; return its plugins' folders.

    `folder` is that of `--config-dir`. Raises ConfigError.
    """
    limits.check_lines([*lines, name, folder or ""])
    _check_folders("--config-dir ", [] if folder is None else [folder])
    for line in lines:
        secrecy.hide_uri(line)
    primary = _primary(root, name)
    keys = (_SEARCHPATH, _PLUGINS)
    given = {key: OmegaConf.select(primary, key, throw_on_missing=False) for key in keys}
    for override in _parsed(lines, given):
        given[override.key_or_group] = override.value()
    places = _strings(given[_SEARCHPATH], _SEARCHPATH)
    if folder is not None and places:
        raise ConfigError(f"--config-dir and {_SEARCHPATH} both name folders; use one of them.")
    for place in places:
        if "://" in place and not place.startswith("file://"):
            raise ConfigError(f"{_SEARCHPATH}={place}: only a folder is read, as file://FOLDER.")
    folders = _strings(given[_PLUGINS], _PLUGINS)
    _check_folders(f"{_PLUGINS}=", folders)
    return folders


def check_plugins(experiment: Experiment, folders: Sequence[str]) -> None:
    """Raise ConfigError where an experiment names folders of plugins that were not looked into."""
    if ignored := [folder for folder in experiment.plugin_path if folder not in folders]:
        raise ConfigError(f"{_PLUGINS}={ignored[0]} is of another file: it {_MAIN}.")


def searchpath(folder: str) -> str:
    """Return the setting that stands for `--config-dir`."""
    place = QuotedString(f"file://{Path(folder).resolve()}", Quote.single)
    return f"{_SEARCHPATH}=[{place.with_quotes()}]"


def variable(key: str, *default: Any, _node_: Node) -> Any:
    """Return a variable of the environment, which is hidden unless it is one of our names."""
    value = oc.env(key, *default)
    known = _node_.enum_type.__members__ if isinstance(_node_, EnumNode) else ()
    names = {name for kind in registry.KINDS for name in registry.plugins(kind)}
    if key in os.environ and value not in known and value not in names:
        secrecy.hide(os.environ[key], f"${{oc.env:{key}}}")
    return value


def _primary(root: Path, name: str) -> DictConfig:
    """Return the file of `conf/` that composing starts from, or nothing where there is none."""
    path = root / "conf" / BoundedFiles._normalize_file_name(name)
    if not path.is_file():
        return OmegaConf.create()
    _check(path)
    try:
        found = OmegaConf.load(path)
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is no configuration: {error}") from error
    return found if isinstance(found, DictConfig) else OmegaConf.create()


def _parsed(lines: Sequence[str], keys: Container[str]) -> list[Override]:
    """Parse the settings of some keys; what is no setting is told when all are parsed."""
    found = []
    for line in lines:
        if line.lstrip("+~").partition("=")[0].partition("@")[0] in keys:
            try:
                found.append(OverridesParser.create().parse_override(texts.as_typed(line)))
            except (HydraException, ValueError):
                continue
    return found


def _check_folders(key: str, folders: Sequence[str]) -> None:
    for folder in folders:
        try:
            there = Path(folder).expanduser().is_dir()
        except (OSError, RuntimeError):  # of a name too long, of a user who does not exist
            there = False
        if not there:
            raise ConfigError(f"{key}{folder} is no folder.")


def _check(path: Path) -> None:
    try:
        limits.check_yaml(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _strings(value: Any, key: str) -> list[str]:
    plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    items = [] if plain is None else [plain] if isinstance(plain, str) else plain
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ConfigError(f"{key}={plain}: give it as a list, {key}=[FOLDER].")
    return items
