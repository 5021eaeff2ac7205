"""Which run to go on with, and whether it is still the same experiment."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError, options
from experiments.plugin.description import describe, flatten
from experiments.process.secrecy import clean
from experiments.runs import checkpoints, journal, results
from experiments.runs.checkpoints import Content
from experiments.runs.journal import Event
from experiments.runs.provenance import origin
from experiments.runs.results import Result
from experiments.settings import Experiment
from experiments.text import quoted

AUTO = "auto"
REUSED = "reused.json"  # in the folder of a job, the run whose result stands for it
# Settings that decide where a run's results go and how long it may take to go on, not its numbers.
_FREE = ("output", "plugin_path", "resume", "resume_changed", "tracking.", "checkpoint.",
         "sweep.", "repeats", "on_error", "reuse", "lanes")  # fmt: skip
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier part of a run has left; `changes` of its settings and code are allowed."""

    folder: Path
    start: Event
    content: Content | None
    changes: Sequence[str]

    def before(self, step: int, looked: int) -> Iterator[Event]:
        """Yield the journal's numbers of the steps before one, of its losses those looked at.

        The journal may hold later ones: those of steps that were lost, and are done again.
        """
        for event in self._events():
            if event["event"] == "metrics" and event["step"] < step:
                yield event
            elif event["event"] == "series":
                kept = max(0, looked + 1 - event["first"])
                yield event | {"values": {n: v[:kept] for n, v in event["values"].items()}}

    @property
    def digests(self) -> list[str]:
        """The data sets that the journal names, which it does last of where the run began."""
        return [event["digest"] for event in self._events() if event["event"] == "dataset"]

    def tags(self, step: int) -> dict[str, str]:
        """Return what MLflow shows of going on after a step."""
        tags = {"resumed": f"after step {step}"}
        return tags | {"resumed.changed": "; ".join(self.changes)} if self.changes else tags

    def check_data(self, digest: str, *, allowed: bool) -> None:
        """Raise ConfigError where the data are others than before, unless that is allowed."""
        known = self.digests
        if known and known[0] != digest and not allowed:
            raise _changed(self.folder, [f"the data: {known[0]} then, {digest} now"])

    def _events(self) -> Iterator[Event]:
        return (event for event, _ in journal.read(self.folder / journal.FILE))


def find(experiment: Experiment) -> Path | None:
    """Return the folder of the run that `resume` names; with auto None where there is none.

    Raises ConfigError where no such run is found.
    """
    wanted, output = str(experiment.resume), Path(experiment.output)
    if wanted == AUTO:
        return _unfinished(experiment, output)
    for folder in (output / wanted, Path(wanted)):
        if (folder / journal.FILE).exists():
            return folder.resolve()
    known = [path.parent.name for path in output.glob(f"*/{journal.FILE}")]
    if Path(wanted).is_dir():
        raise ConfigError(f"resume={wanted}: this folder is no run: it has no {journal.FILE}.")
    raise ConfigError(
        f"resume={wanted}: there is no such run in {output}; {options(wanted, known)}"
    )


def overrides(folder: Path, given: Sequence[str]) -> list[str]:
    """Return the settings of a run's command, with those given now, for the same folder."""
    now = [*given, f"hydra.run.dir={quoted(str(folder))}", "hydra.mode=RUN"]
    replaced = {_key(text) for text in now}
    before: list[str] = journal.start_of(folder)["overrides"]
    return [*(text for text in before if _key(text) not in replaced), *now]


def earlier(folder: Path, experiment: Experiment, tracker: journal.Journal) -> Earlier:
    """Return what a run has left; raise ConfigError where it is another experiment than this.

    The tracker holds the run's folder. Raises DataError where no checkpoint can be read.
    """
    start = journal.start_of(folder)
    changes = list(_differences(start, experiment))
    if changes and not experiment.resume_changed:
        raise _changed(folder, changes)
    if tracker.dropped:
        log.warning(
            "%s: its last %d bytes are damaged and left out.", tracker.path, tracker.dropped
        )
    content = checkpoints.newest(folder, start["run_id"], tracker.position())
    if content is None:
        log.warning("%s has no checkpoint to go on from: the run starts over.", folder)
    return Earlier(folder, start, content, changes)


def is_finished(folder: Path) -> bool:
    """Say whether a run has come to its end."""
    return status_of(folder) == "FINISHED"


def status_of(folder: Path) -> str | None:
    """Return how a run has ended, None where it has not."""
    status = None
    for event, _ in journal.read(folder / journal.FILE):
        if event["event"] in ("end", "resume"):
            status = event.get("status")
    return status


def find_sweep(output: Path, overrides: Sequence[str]) -> Path | None:
    """Return the folder of the last sweep of a command that was interrupted."""
    found = [path.parent for path in output.glob(f"*/{journal.FILE}")]
    return next((f for f in sorted(found, reverse=True) if is_interrupted(f, overrides)), None)


def is_interrupted(folder: Path, overrides: Sequence[str]) -> bool:
    """Say whether a folder holds a sweep of a command that has not come to its end."""
    try:
        start = journal.start_of(folder)
    except ConfigError:
        return False
    same = start["config"] == sweep_config(overrides)
    return same and not journal.is_held(folder) and status_of(folder) in (None, "KILLED")


def is_other(folder: Path, overrides: Sequence[str]) -> bool:
    """Say whether a folder holds a run of another command."""
    return bool(journal.start_of(folder)["config"] != sweep_config(overrides))


def sweep_config(overrides: Sequence[str]) -> dict[str, str]:
    """Return what the journal of a sweep says of its settings."""
    return {"sweep": clean(" ".join(overrides))}


def opened(folder: Path, experiment: Experiment) -> tuple[journal.Journal, Earlier | None]:
    """Open the journal of a sweep's job, and return what an earlier part of it has left."""
    if not (folder / journal.FILE).exists():
        return journal.Journal(folder), None
    tracker = journal.Journal(folder, resume=True)
    try:
        return tracker, earlier(folder, experiment, tracker)
    except BaseException:
        tracker.close()
        raise


def ended(folder: Path, run_id: str | None = None) -> Result | None:
    """Return the result of a job, of this run if one is given, that ended, be it by diverging."""
    if not (folder / journal.FILE).exists() or status_of(folder) in (None, "KILLED"):
        return None
    if run_id not in (None, journal.start_of(folder)["run_id"]):
        return None
    result = results.read(folder)
    return result if result is not None and result.status != "failed" else None


class Library:
    """The results of the runs below a folder, by their settings, code and versions."""

    def __init__(self, output: Path) -> None:
        self._folders: dict[str, Path] = {}
        for path in sorted(output.glob(f"**/{journal.FILE}")):
            with suppress(ConfigError, KeyError):
                start = journal.start_of(path.parent)
                self._folders[_key_of(start["config"], start["origin"])] = path.parent

    def reuse(self, experiment: Experiment, code: Mapping[str, str], folder: Path) -> Result | None:
        """Refer from a job's folder to the run whose result stands for it, where there is one.

        `code` is the `origin` of the experiment.
        """
        found = self._folders.get(_key_of(describe(experiment), code))
        result = ended(found) if found else None
        if found is not None and result is not None:
            folder.mkdir(parents=True)
            text = json.dumps({"folder": str(found.resolve())})
            (folder / REUSED).write_text(text, encoding="utf-8")
        return result


def _key_of(config: Mapping[str, Any], origin: Mapping[str, str]) -> str:
    return json.dumps([_settings(config), origin], sort_keys=True)


def _unfinished(experiment: Experiment, output: Path) -> Path | None:
    """Return the run of the same settings that has come furthest and not to its end."""
    found = []
    for path in output.glob(f"*/{journal.FILE}"):
        folder = path.parent
        try:
            start = journal.start_of(folder)
        except ConfigError:
            continue
        same = _settings(start["config"]) == _settings(describe(experiment))
        if same and not journal.is_held(folder) and not is_finished(folder):
            found.append((_reached(path), folder.name, folder))
    return max(found)[-1].resolve() if found else None


def _reached(path: Path) -> int:
    """Return the last step whose numbers a journal has."""
    events = (event for event, _ in journal.read(path) if event["event"] in journal.NUMBERS)
    return max((step for event in events for _, step, _ in journal.points(event)), default=0)


def _differences(start: Event, experiment: Experiment) -> Iterator[str]:
    before = _settings(start["config"]) | start.get("origin", {})
    now = _settings(describe(experiment)) | origin(experiment)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield f"{key}: {before.get(key, 'not set')} then, {now.get(key, 'not set')} now"


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(clean(config)))  # as the journal has it
    return {key: value for key, value in flatten(plain).items() if not key.startswith(_FREE)}


def _changed(folder: Path, changes: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{folder.name} cannot go on as it was: {'; '.join(changes)}. "
        "resume_changed=true goes on all the same, and records that."
    )


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
