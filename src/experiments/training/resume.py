"""Which run to go on with, and whether it is still the same experiment."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config import consent
from experiments.config.folders import is_below
from experiments.errors import ConfigError, options
from experiments.plugin.description import describe, flatten
from experiments.process.secrecy import clean
from experiments.runs import checkpoints, journal
from experiments.runs.checkpoints import Content
from experiments.runs.events import Event
from experiments.runs.folder import Folder, data_of, end_of, runs_in
from experiments.runs.journal import Journal
from experiments.runs.provenance import origin
from experiments.settings import Decides, Experiment, decided_by
from experiments.text import quoted

AUTO = "auto"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier part of a run has left; `changes` of its settings and code are allowed.

    `events` are those of its journal.
    """

    folder: Path
    events: Sequence[Event]
    content: Content | None
    changes: Sequence[str]

    @property
    def start(self) -> Event:
        """The journal's first event."""
        return self.events[0]

    @property
    def is_finished(self) -> bool:
        """Whether the run had come to its end."""
        return end_of(iter(self.events)) == "FINISHED"

    @property
    def digest(self) -> str | None:
        """The digest of the data, None where the journal does not come to name it."""
        return data_of(iter(self.events))

    def before(self, step: int, looked: int) -> Iterator[Event]:
        """Yield the journal's numbers of the steps before one, of its losses those looked at.

        The journal may hold later ones: those of steps that were lost, and are done again.
        """
        for event in self.events:
            if event["event"] == "metrics" and event["step"] < step:
                yield event
            elif event["event"] == "series":
                kept = max(0, looked + 1 - event["first"])
                yield event | {"values": {n: v[:kept] for n, v in event["values"].items()}}

    def tags(self, step: int) -> dict[str, str]:
        """Return what MLflow shows of going on after a step."""
        tags = {"resumed": f"after step {step}"}
        return tags | {"resumed.changed": "; ".join(self.changes)} if self.changes else tags

    def check_end(self, total_steps: int, experiment: Experiment) -> None:
        """Raise ConfigError where the run is past the end that is asked for now."""
        step, epoch = (self.content[1][name] if self.content else 0 for name in ("step", "epoch"))
        if step > total_steps:
            raise ConfigError(
                f"{self.folder.name} is at step {step} (epoch {epoch:g}), which is after the end "
                f"that epochs={experiment.epochs} and max_steps={experiment.max_steps} make "
                f"(step {total_steps}); give it more."
            )

    def check_data(self, digest: str, *, allowed: bool) -> None:
        """Raise ConfigError where the data are others than before, unless that is allowed."""
        if self.digest not in (None, digest) and not allowed:
            raise _changed(self.folder, [f"the data: {self.digest} then, {digest} now"])


def find(experiment: Experiment) -> Path | None:
    """Return the folder of the run that `resume` names; with auto None where there is none.

    Raises ConfigError where no such run is found.
    """
    wanted, output = str(experiment.resume), Path(experiment.output)
    if wanted == AUTO:
        return _unfinished(experiment, output)
    for path in (output / wanted, Path(wanted)):
        if Folder(path).exists:
            return path.resolve()
    known = [path.parent.name for path in output.glob(f"*/{journal.FILE}")]
    if Path(wanted).is_dir():
        raise ConfigError(f"resume={wanted}: this folder is no run: it has no {journal.FILE}.")
    raise ConfigError(
        f"resume={wanted}: there is no such run in {output}; {options(wanted, known)}"
    )


def overrides(folder: Path, given: Sequence[str], output: Path) -> list[str]:
    """Return the settings of a run's command, with those given now, for the same folder.

    Of those of its journal none decides which code runs or where anything goes. A run that is not
    below `output` stays where it is all the same.
    """
    now = [*given, f"hydra.run.dir={quoted(str(folder))}", "hydra.mode=RUN"]
    replaced = set(map(consent.key_of, now))
    if "output" not in replaced and not is_below(folder, output):
        now.append(f"output={quoted(str(folder.parent))}")
    before = consent.of_journal(journal.start_of(folder)["overrides"])
    return [*(text for text in before if consent.key_of(text) not in replaced), *now]


def earlier(folder: Path, experiment: Experiment, tracker: Journal) -> Earlier:
    """Return what a run has left; raise ConfigError where it is another experiment than this.

    The tracker holds the run's folder. Raises DataError where no checkpoint can be read.
    """
    if not tracker.past:
        raise ConfigError(f"The folder {folder} holds no run that could be read.")
    start = tracker.past[0]
    changes = list(differences(start, experiment))
    if changes and not experiment.resume_changed:
        raise _changed(folder, changes)
    if tracker.dropped:
        log.warning(
            "%s: its last %d bytes are damaged and left out.", tracker.path, tracker.dropped
        )
    content = checkpoints.newest(folder, start["run_id"], tracker.position())
    if content is None:
        log.warning("%s has no checkpoint to go on from: the run starts over.", folder)
    return Earlier(folder, tracker.past, content, changes)


def opened(folder: Path, experiment: Experiment) -> tuple[Journal, Earlier | None]:
    """Open the journal of a sweep's job, and return what an earlier part of it has left."""
    if not Folder(folder).exists:
        return Journal(folder), None
    tracker = Journal(folder, resume=True)
    try:
        return tracker, earlier(folder, experiment, tracker)
    except BaseException:
        tracker.close()
        raise


def _unfinished(experiment: Experiment, output: Path) -> Path | None:
    """Return the run of the same settings that has come furthest and not to its end."""
    wanted = settings_of(describe(experiment))
    found = [
        (_reached(folder), folder.path.name, folder.path)
        for folder in runs_in(output)
        if settings_of(folder.start["config"]) == wanted
        and not folder.is_held
        and folder.end != "FINISHED"
    ]
    return max(found)[-1].resolve() if found else None


def _reached(folder: Folder) -> int:
    """Return the last step whose numbers a journal has."""
    events = (event for event in folder.events() if event["event"] in journal.NUMBERS)
    return max((step for event in events for _, step, _ in journal.points(event)), default=0)


def differences(start: Event, experiment: Experiment) -> Iterator[str]:
    """Yield in what a run that began with this event is another one than that of an experiment."""
    before = settings_of(start["config"]) | start.get("origin", {})
    now = settings_of(describe(experiment)) | origin(experiment)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            yield f"{key}: {before.get(key, 'not set')} then, {now.get(key, 'not set')} now"


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a journal's settings those that decide the numbers of a run."""
    plain = json.loads(json.dumps(clean(config)))  # as the journal has it
    free = (Decides.course, Decides.place, Decides.command)
    return {key: v for key, v in flatten(plain).items() if decided_by(key) not in free}


def _changed(folder: Path, changes: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{folder.name} cannot go on as it was: {'; '.join(changes)}. "
        "resume_changed=true goes on all the same, and records that."
    )
