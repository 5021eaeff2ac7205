"""Refuse what a configuration would make Hydra run, before Hydra runs anything of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from experiments.config import limits, logs
from experiments.errors import options
from experiments.process import secrecy
from experiments.text import shortened

_CORE = "hydra._internal.core_plugins."
# The classes that Hydra may make of a configuration, by the only keys that may name them.
ALONE = {f"{_CORE}basic_launcher.BasicLauncher"}  # which runs every job by itself
LOCAL = ALONE | {"hydra_plugins.experiments_jobs.VectorizedLauncher"}  # in this process
TARGETS = {
    "hydra.launcher._target_": {
        *LOCAL,
        "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    },
    "hydra.sweeper._target_": {
        f"{_CORE}basic_sweeper.BasicSweeper",
        "hydra_plugins.experiments_jobs.JobsSweeper",
        "hydra_plugins.experiments_optuna.OptunaSweeper",
    },
}
# The sweepers that choose values of an interval.
SAMPLING = {"hydra_plugins.experiments_optuna.OptunaSweeper"}
# The settings of Hydra that may refer to others: what they come to is checked as well.
_MAY_REFER = re.compile(
    r"hydra\.(run\.dir|sweep\.(dir|subdir)|job\.(override_dirname|id)|(hydra_)?help\..*"
    r"|launcher\.(submitit_folder|name)"
    r"|overrides\..*|runtime\..*|(job|hydra)_logging\.handlers\.[^.]+\.filename)"
)
_PARTS = ("run", "sweep", "launcher", "sweeper", "job", "overrides", "callbacks",
          "hydra_logging", "job_logging")  # fmt: skip
_SPECIAL = re.compile(r"_\w+_")  # keys by which Hydra makes objects
_SUBFOLDER = re.compile(r"([\w=,+-]|\.(?!\.)|\$\{hydra[.:]job\.(num|id)\}){1,60}")
# Where launchers write, which has to be below the sweep's folder.
_FOLDERS = {"submitit_folder": "${hydra.sweep.dir}/.submitit/%j", "temp_folder": None}
_NAME = re.compile(r"[\w-][\w.-]{0,59}")  # a file's name, in bytes that are four times as many


def dangers(cfg: DictConfig, lines: Sequence[str]) -> Iterator[str]:
    """Yield what a composed configuration has that would run code or tell secrets, as one line.

    `lines` are the settings of the command line that it was composed of.
    """
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    limits.check_references({key: raw[key] for key in raw if key != "hydra"})
    for line in lines:
        yield from _password(line)
    yield from _walk(raw)
    hydra = raw["hydra"]
    lost = [part for part in _PARTS if not isinstance(hydra.get(part), dict)]
    for part in lost:
        yield f"hydra.{part} is missing or no mapping; leave it to Hydra."
    if not lost:
        yield from _unsafe(hydra, lines)
        yield from _malformed(hydra)
        for part in ("hydra_logging", "job_logging"):
            yield from logs.logging_dangers(hydra[part], f"hydra.{part}")


def _walk(tree: Any, key: str = "") -> Iterator[str]:
    """Yield what is wrong wherever it stands: keys that make objects, references, passwords."""
    if isinstance(tree, (dict, list)):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            inner = f"{key}.{name}" if key else str(name)
            allowed = TARGETS.get(inner, ())
            if _SPECIAL.fullmatch(str(name)) and str(value) not in allowed:
                told = shortened(str(value), 80)
                yield f"{inner}={told}: it could run code. {options(told, allowed)}"
            if not inner.startswith("hydra.overrides."):  # which repeat the command line
                yield from _walk(value, inner)
    elif isinstance(tree, str):
        if "${" in tree and key.startswith("hydra.") and not _MAY_REFER.fullmatch(key):
            yield f"{key}={shortened(tree, 80)}: it may not refer to another setting."
        yield from _password(tree, f"{key}=")


def _password(text: str, key: str = "") -> Iterator[str]:
    if "://" in text and secrecy.has_password(text):
        yield (
            f"{key}{shortened(secrecy.without_password(text), 200)}: an address with a password "
            "would be stored; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the "
            "whole address as MLFLOW_TRACKING_URI."
        )


def _unsafe(hydra: Mapping[str, Any], lines: Sequence[str]) -> Iterator[str]:
    """Yield the settings of Hydra that run code, reach the environment or evade these checks."""
    for key in hydra["callbacks"]:
        yield f"hydra.callbacks.{key}: it could run code. Allowed: none."
    for part in ("launcher", "sweeper"):
        if "_target_" not in hydra[part]:
            yield f"hydra.{part}._target_ is missing; leave it to Hydra."
    for part in ("env_copy", "env_set"):
        if hydra["job"].get(part):
            yield f"hydra.job.{part}: set variables of the environment before the command instead."
    for key in hydra["sweeper"].get("params") or ():
        if str(key).lstrip("+~").startswith(("hydra.", "hydra/")):
            yield f"hydra.sweeper.params.{key}: a sweep may not change Hydra's own settings."
    given = [hydra["overrides"].get(part) for part in ("hydra", "task")]
    texts = [str(item) for items in given if isinstance(items, list) for item in items]
    if sorted(texts) != sorted(lines):
        yield "hydra.overrides: it is for Hydra to fill in."


def _malformed(hydra: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings of Hydra that would fail, or write elsewhere, once a run has begun."""
    name, folder = hydra["job"].get("name"), hydra["sweep"].get("subdir")
    size, verbose = hydra["sweeper"].get("max_batch_size"), hydra.get("verbose")
    if size is not None and not (isinstance(size, int) and size > 0):
        yield f"hydra.sweeper.max_batch_size={size}: must be > 0."
    for key, allowed in _FOLDERS.items():
        if hydra["launcher"].get(key, allowed) != allowed:
            told = "null" if allowed is None else allowed
            yield f"hydra.launcher.{key}={hydra['launcher'][key]}: must be {told}."
    most = hydra["launcher"].get("max_lanes", 1)
    if not (isinstance(most, int) and most > 0):
        yield f"hydra.launcher.max_lanes={most}: must be > 0."
    if hydra.get("output_subdir") not in (None, ".hydra"):
        yield f"hydra.output_subdir={hydra['output_subdir']}: must be .hydra or null."
    if not _NAME.fullmatch(str(name)):
        told = shortened(str(name), 99)
        yield f"hydra.job.name={told}: must be a plain file name of at most 60 letters."
    if not _SUBFOLDER.fullmatch(str(folder)):
        wanted = "must be a plain file name of at most 60 letters; ${hydra.job.num} may be in it"
        yield f"hydra.sweep.subdir={shortened(str(folder), 99)}: {wanted}."
    if not isinstance(verbose, (bool, str)) and not logs.is_names(verbose):
        yield f"hydra.verbose={verbose}: must be true, false or a list of loggers."
