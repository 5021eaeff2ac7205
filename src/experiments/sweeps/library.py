"""What earlier commands have left that a sweep takes up: an interrupted sweep, results of jobs."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError
from experiments.plugin.description import describe
from experiments.process.secrecy import clean
from experiments.runs.folder import Folder, all_below, runs_in
from experiments.runs.result import Result, Status
from experiments.settings import Experiment, TrackingMode
from experiments.training.resume import settings_of

_OVER = (Status.finished, Status.pruned, Status.diverged)  # with a result that stays


def unfinished(experiment: Experiment, path: Path, overrides: Sequence[str]) -> Path | None:
    """Return the folder of a sweep of this command that has not come to its end.

    `path` is where a sweep would be made; raises ConfigError where another one is there.
    """
    folder = Folder(path)
    if folder.exists:
        if is_interrupted(folder, overrides):
            return path
        if not folder.is_held and is_other(folder, overrides):
            raise ConfigError(f"The folder {path} is that of another sweep; name another.")
        return None
    if experiment.tracking.mode is TrackingMode.none:
        return None
    found = find_sweep(Path(experiment.output), overrides)
    if found is not None:
        print(f"goes on with the sweep in {found}, which was interrupted", flush=True)
    return found


def find_sweep(output: Path, overrides: Sequence[str]) -> Path | None:
    """Return the folder of the last sweep of a command that was interrupted."""
    found = [folder.path for folder in runs_in(output) if is_interrupted(folder, overrides)]
    return max(found, default=None)


def is_interrupted(folder: Folder, overrides: Sequence[str]) -> bool:
    """Say whether a folder holds a sweep of a command that has not come to its end."""
    try:
        same = folder.start["config"] == sweep_config(overrides)
    except ConfigError:
        return False
    return same and not folder.is_held and folder.end in (None, "KILLED")


def is_other(folder: Folder, overrides: Sequence[str]) -> bool:
    """Say whether a folder holds a run of another command."""
    return bool(folder.start["config"] != sweep_config(overrides))


def sweep_config(overrides: Sequence[str]) -> dict[str, str]:
    """Return what the journal of a sweep says of its settings."""
    return {"sweep": clean(" ".join(overrides))}


def ended(folder: Folder, run_id: str | None = None) -> Result | None:
    """Return the result of a job, of this run if one is given, that ended, be it by diverging."""
    if folder.status not in _OVER or run_id not in (None, folder.start["run_id"]):
        return None
    return folder.result


class Library:
    """The results of the runs below a folder, by their settings, code and versions."""

    def __init__(self, output: Path) -> None:
        self._folders: dict[str, Folder] = {}
        for folder in all_below(output):
            with suppress(ConfigError, KeyError):
                start = folder.start
                self._folders[_key_of(start["config"], start["origin"])] = folder

    def reuse(self, experiment: Experiment, code: Mapping[str, str], folder: Folder) -> bool:
        """Refer from a job's folder to the run whose result stands for it, if there is one.

        `code` is the `origin` of the experiment.
        """
        found = self._folders.get(_key_of(describe(experiment), code))
        if found is None or ended(found) is None:
            return False
        folder.reuse(found)
        return True


def _key_of(config: Mapping[str, Any], origin: Mapping[str, str]) -> str:
    return json.dumps([settings_of(config), origin], sort_keys=True)
