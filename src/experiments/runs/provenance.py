"""Where a run comes from: code, versions, machine, command."""

import dataclasses
import getpass
import hashlib
import json
import os
import platform
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import TensorDataset

import experiments
from experiments.plugin import registry
from experiments.plugin.description import describe, flatten
from experiments.plugin.kinds import Plugin
from experiments.plugin.spec import Splits
from experiments.settings import Experiment

_CODE = ("run.py", "src", "plugins", "conf")
_PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "mlflow")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which run this is: our id, its parent's in a sweep, its name, and the command's settings."""

    run_id: str
    parent_id: str | None
    name: str
    overrides: Sequence[str]
    job: int | None = None  # its number in a sweep


def start_event(
    experiment: Experiment,
    identity: Identity,
    root: Path,
    like: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of the journal's first event.

    Code, versions and machine are the same as those of a run `like` it, which saves asking again.
    """
    config = describe(experiment)
    asked = {"command": command(identity.overrides)}
    return {
        "run_id": identity.run_id,
        "parent_id": identity.parent_id,
        "experiment": experiment.tracking.experiment,
        "name": identity.name,
        "overrides": list(identity.overrides),
        "params": flatten(config),
        "tags": like["tags"] | asked if like else tags(root, identity.overrides),
        "config": config,
        "origin": like["origin"] if like else origin(experiment),
    }


def origin(experiment: Experiment) -> dict[str, str]:
    """Return what besides the settings decides a run's numbers: torch's version, and the code."""
    return {
        "torch": version("torch"),
        "code of experiments": _own_code(),
        **{
            f"code of {registry.kind_of(plugin)}={registry.name_of(plugin)}": plugin_code(plugin)
            for plugin in used(experiment)
        },
    }


def plugin_code(plugin: type[Plugin]) -> str:
    """Return a digest of a plugin's code."""
    return _digest([registry.code_of(plugin)])


def dataset_event(splits: Splits, name: str) -> dict[str, Any]:
    """Return what the journal says of a data set: name, source, sizes, and a digest of it all."""
    sizes = {split: len(items) for split, items in splits.parts.items()}  # type: ignore[arg-type]
    told: dict[str, Any] = {"task": splits.spec.task.name, "reason": splits.reason}
    told |= {"notes": splits.notes, "warnings": splits.warnings}
    digest = hashlib.sha256(json.dumps(sizes).encode())
    for items in splits.parts.values():
        for tensor in items.tensors if isinstance(items, TensorDataset) else ():
            digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return {
        "name": name,
        "digest": digest.hexdigest()[:16],
        "source": splits.source,
        "profile": json.dumps({**sizes, **{key: value for key, value in told.items() if value}}),
        "context": "training",
    }


def tags(root: Path, arguments: Sequence[str]) -> dict[str, str]:
    """Return what MLflow shows beside a run, under MLflow's own names where it has them."""
    return {
        "mlflow.source.name": "run.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "command": command(arguments),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{f"version.{package}": version(package) for package in _PACKAGES},
        **_git(root),
    }


def command(arguments: Sequence[str]) -> str:
    """Return the command that makes this run again."""
    return shlex.join(["python", "run.py", *arguments])


def device_name(device: torch.device) -> str:
    """Return a device with the name of its hardware, such as "cuda:0 (NVIDIA H100)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def patch(root: Path) -> str:
    """Return what the checkout has that its commit has not, as a patch; empty outside git.

    New files of code and configuration are in it, though git does not track them yet.
    """
    listed = _run_git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *_CODE)
    new = [name for name in listed.split("\0") if name]
    added = (_run_git(root, "diff", "--no-index", "--binary", "/dev/null", name) for name in new)
    return "".join([_run_git(root, "diff", "HEAD", "--binary"), *added])


def used(value: Any) -> Iterator[type[Plugin]]:
    """Yield the class of every plugin in settings."""
    if isinstance(value, Plugin):
        yield type(value)
    parts = list(value.values()) if isinstance(value, dict) else []
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    for part in parts:
        yield from used(part)


@cache
def _own_code() -> str:
    files = sorted(Path(experiments.__file__).parent.rglob("*.py"))
    return _digest(file.read_bytes() for file in files)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:12]


def _git(root: Path) -> dict[str, str]:
    commit = _run_git(root, "rev-parse", "HEAD").strip()
    if not commit:
        return {}
    dirty = bool(_run_git(root, "status", "--porcelain").strip())
    return {"mlflow.source.git.commit": commit, "git.dirty": str(dirty).lower()}


def _run_git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            check=False,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    # `diff --no-index` returns 1 where it finds a difference.
    return done.stdout.decode(errors="replace") if done.returncode in (0, 1) else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
