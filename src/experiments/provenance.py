"""Where a run comes from: code, versions, machine, command."""

import getpass
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "mlflow")


def tags(root: Path, overrides: Sequence[str], device: torch.device) -> dict[str, str]:
    """Return what MLflow shows beside a run, under MLflow's own names where it has them."""
    return {
        "mlflow.source.name": "run.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "command": command(overrides),
        "device": device_name(device),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{f"version.{package}": version(package) for package in _PACKAGES},
        **_git(root),
    }


def command(overrides: Sequence[str]) -> str:
    """Return the command that makes this run again."""
    return shlex.join(["python", "run.py", *overrides])


def device_name(device: torch.device) -> str:
    """Return a device with the name of its hardware, such as "cuda:0 (NVIDIA H100)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def patch(root: Path) -> str:
    """Return what the checkout has that its commit has not, as a patch; empty outside git."""
    return _run_git(root, "diff", "HEAD", "--binary")


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
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
