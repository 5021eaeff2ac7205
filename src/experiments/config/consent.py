"""What only a command itself and `conf/` may decide: no journal and no row of a file."""

import re
import shlex
from collections.abc import Sequence
from enum import Enum
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.errors import ConfigError
from experiments.plugin.kinds import Dataset
from experiments.process.secrecy import clean
from experiments.settings import Decides, decided_by
from experiments.text import as_value, shortened

# Settings of a place that lead nowhere: how a run is shown, and how long its upload is waited for.
_SHOWN = {f"tracking.{name}" for name in ("experiment", "name", "wait", "figures", "model")}
# What goes on stands where it does, and sends no more than it did.
_KNOWN = {"output", "hydra.run.dir", "hydra.mode"}
_SENDS_NOTHING = ("tracking=offline", "tracking.mode=offline")


def key_of(line: str) -> str:
    """Return the key of a setting as it stands on a command line."""
    return line.lstrip("+~").partition("=")[0]


def first_of(line: str) -> str:
    """Return the setting or the group that a line of a command line is about."""
    return re.split("[.@/]", key_of(line))[0]


def is_for_the_command(line: str) -> bool:
    """Say whether only a command and `conf/` may give a setting, for all jobs of a sweep alike.

    It decides which code runs, where data go, where files are written, or which runs there are.
    """
    names = key_of(line).split("@")  # of a group, and of where it is put
    decided = {decided_by(name) for name in names if name not in _SHOWN}
    if decided & {Decides.place, Decides.command} or any(name[:1] == "_" for name in names):
        return True
    # A preset may lie outside `conf/`, and decide anything.
    value = line.partition("=")[2]
    return "." not in names[0] and (".." in value or "${" in value)


def check_shared(lines: Sequence[str]) -> None:
    """Raise ConfigError where jobs of a sweep would differ in what is the command's alone."""
    for line in lines:
        if is_for_the_command(line):
            raise ConfigError(
                f"{shortened(line, 100)}: jobs of a sweep cannot differ in this; "
                "give it once, on the command line or in conf/."
            )


def of_journal(before: Sequence[str]) -> list[str]:
    """Return the settings of an earlier command that its journal may give to a later one."""
    # The files of `conf/sweep` are the user's own, as those of other groups.
    return [
        line
        for line in before
        if line in _SENDS_NOTHING or key_of(line) == "sweep" or not is_for_the_command(line)
    ]


def asked(before: Sequence[str], dataset: Dataset) -> list[str]:
    """Return those that a command has to ask for itself, or `conf/`: code, and places of data.

    A data set that may download writes where its own settings say.
    """
    downloads = bool(getattr(dataset, "download", False))
    left = [line for line in before if line not in of_journal(before)]
    own = [line for line in left if _is_asked(key_of(line))]
    return own + [line for line in before if downloads and first_of(line) == "dataset"]


def require(
    name: str, before: Sequence[str], given: Sequence[str], config: DictConfig, dataset: Dataset
) -> None:
    """Raise ConfigError where a command, as it is composed, does not ask for settings itself."""
    known = {key_of(line) for line in given}
    missing = [
        line
        for line in asked(before, dataset)
        if key_of(line) not in known and not _holds(line, config)
    ]
    if missing:
        raise ConfigError(
            f"The journal of {name} alone cannot decide where data go and which code runs. "
            f"Add what is right of this to the command: {shlex.join(missing)}"
        )


def again(name: str, folder: str, before: Sequence[str], dataset: Dataset) -> str:
    """Return the command that goes on with a run; `name` is that of its configuration."""
    named = [] if name == "config" else ["--config-name", name]
    resume = f"resume={as_value(folder)}"
    return shlex.join(["python", "run.py", *named, resume, *asked(before, dataset)])


def _is_asked(key: str) -> bool:
    """Say whether a setting matters to a run that goes on: not, which jobs there are."""
    return key not in _KNOWN and (key == "plugin_path" or decided_by(key) is not Decides.command)


def _holds(line: str, config: DictConfig) -> bool:
    """Say whether a composed configuration has what a setting says."""
    try:
        override: Override = OverridesParser.create().parse_override(line)
    except (HydraException, ValueError):
        return False
    key, choices = override.key_or_group, config.hydra.runtime.choices
    if override.is_delete() or override.package is not None:
        return False
    try:
        found = choices[key] if key in choices else OmegaConf.select(config, key)
    except OmegaConfBaseException:  # it refers to what only a run's own folder decides
        return False
    return bool(clean(_plain(found)) == override.value())


def _plain(value: Any) -> Any:
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value)
    return value.name if isinstance(value, Enum) else value
