"""Results that are there: of a sweep's own jobs, and of other runs with the same settings."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.plugin.description import describe
from experiments.process.isolation import isolated
from experiments.runs import provenance
from experiments.runs.folder import Folder, all_below
from experiments.runs.result import Result, Status
from experiments.settings import Experiment
from experiments.training.resume import settings_of
from experiments.training.session import splits_for

OVER = (Status.finished, Status.pruned, Status.diverged)  # with a result that stays


def ended(folder: Folder, run_id: str | None = None) -> Result | None:
    """Return the result of a job, of this run if one is given, that ended, be it by diverging."""
    if folder.status not in OVER or run_id not in (None, folder.start["run_id"]):
        return None
    return folder.result


class Begun(NamedTuple):
    """A job of a sweep that has begun, or whose result is that of another run."""

    folder: Folder
    overrides: Sequence[str]


def begun(sweep: Path, run_id: str) -> dict[int, Begun]:
    """Return the jobs of a sweep that have begun, by number."""
    found = {}
    for path in sweep.iterdir():
        with suppress(ConfigError, ValueError, KeyError):
            folder = Folder(path)
            parent, _, number = folder.job["run_id"].rpartition(".")
            if parent == run_id:
                found[int(number)] = Begun(folder, folder.job["overrides"])
    return found


class Digests:
    """What tells the data of experiments from others, of which each is read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    @isolated()
    def of(self, experiment: Experiment) -> str:
        """Return the digest that a run's journal has; raise DataError where data is damaged."""
        name = registry.name_of(type(experiment.dataset))
        key = json.dumps([name, describe(experiment.dataset)])
        if key not in self._known:
            event = provenance.dataset_event(splits_for(experiment), name)
            self._known[key] = event["digest"]
        return self._known[key]


def basis(experiment: Experiment, lines: Iterable[str]) -> str:
    """Return a text for the code and data that the values of a search come from.

    `lines` give settings the values that they have in turn, plugins among them.
    """
    told = provenance.origin(experiment) | {"data": Digests().of(experiment)}
    for kind, _, name in (line.partition("=") for line in lines):
        if kind in registry.KINDS and name in registry.plugins(kind):
            told[f"{kind}={name}"] = provenance.plugin_code(registry.lookup(kind, name))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


class Library:
    """The results of the runs below a folder, by their settings, code and versions."""

    def __init__(self, output: Path) -> None:
        self._digests = Digests()
        self._folders: defaultdict[str, list[Folder]] = defaultdict(list)
        for folder in all_below(output):
            with suppress(ConfigError, KeyError):
                start = folder.start
                self._folders[_key_of(start["config"], start["origin"])].append(folder)

    def find(self, experiment: Experiment, code: Mapping[str, str]) -> Folder | None:
        """Return the run whose result stands for that of an experiment, if there is one.

        `code` is the `origin` of the experiment. What was allowed to change midway is of no use.
        """
        for found in reversed(self._folders.get(_key_of(describe(experiment), code), [])):
            if ended(found) is None or found.data != self._digests.of(experiment):
                continue
            if not any("resumed.changed" in event.get("values", {}) for event in found.events()):
                return found
        return None


def _key_of(config: Mapping[str, Any], origin: Mapping[str, str]) -> str:
    return json.dumps([settings_of(config), origin], sort_keys=True)
