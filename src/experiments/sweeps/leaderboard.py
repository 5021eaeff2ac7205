"""The jobs of a sweep as their folders have them, in order of their results."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from experiments.config import schema
from experiments.errors import ConfigError
from experiments.report.sweep import outcomes
from experiments.report.sweep.outcomes import Outcome
from experiments.runs.events import Event
from experiments.runs.folder import Folder
from experiments.runs.result import Result, Status
from experiments.settings import Decides, decided_by
from experiments.text import rounded

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run of a sweep: its folder's name, the settings that the sweep varies, its outcome."""

    name: str
    overrides: dict[str, str]
    result: Result
    curve: Points

    @property
    def outcome(self) -> Outcome:
        """What the figures of the sweep show of it."""
        own = self.overrides
        return Outcome(
            settings={key: own[key] for key in own if not schema.is_repeat(key)},
            repeat={key: own[key] for key in own if schema.is_repeat(key)},
            status=self.result.status,
            value=self.result.value,
            curve=self.curve,
        )


def read(path: Path) -> list[Job]:
    """Return the jobs whose folders lie in a sweep's folder, best first, failed ones last."""
    folders = sorted(
        (Folder(inner) for inner in path.iterdir() if inner.is_dir()),
        key=lambda folder: order(folder.path.name),
    )
    starts: dict[Folder, Event] = {}
    for folder in folders:
        with suppress(ConfigError):  # of no run, or of one that a full disk kept from its start
            starts[folder] = folder.source.start
    varied = _varied(list(starts.values()))
    return sorted((_job(folder, start, varied) for folder, start in starts.items()), key=_rank)


def table(jobs: Sequence[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a leaderboard."""
    varied = list(jobs[0].overrides)
    monitor = jobs[0].result.monitor
    known = [f"best/{monitor}", f"final/{monitor}", monitor.replace("val/", "test/")]
    metrics = known if monitor else []  # of a job that has a result
    header = ["job", *varied, *metrics, "step", "seconds", "status"]
    rows = []
    for job in jobs:
        values = [job.result.metrics.get(name) for name in metrics]
        shown = ["" if value is None else rounded(value) for value in values]
        end = [str(job.result.step), f"{job.result.seconds:.1f}", job.result.status]
        rows.append([job.name, *job.overrides.values(), *shown, *end])
    return header, rows


def averaged(jobs: Sequence[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of the settings with mean and deviation over their repetitions.

    There are none where nothing is repeated, or nothing has a value.
    """
    first, found = jobs[0].result, [job.outcome for job in jobs]
    groups = outcomes.ranked(found, higher_is_better=first.higher_is_better)
    settings = outcomes.swept(found)
    rows = []
    for group in groups:
        values = [one.value for one in group if one.is_scored]
        mean = rounded(statistics.mean(values)) if values else ""
        deviation = rounded(statistics.stdev(values)) if len(values) > 1 else ""
        lost = len(group) - len(values)
        own = [group[0].settings.get(key, "") for key in settings]
        rows.append([*own, mean, deviation, str(len(group)), str(lost)])
    over = outcomes.repeated_over(found)
    several = any(len(group) > 1 for group in groups) and first.monitor != ""
    return [*settings, f"mean {first.monitor}", "deviation", over, "lost"], rows * several


def label(job: Job) -> str:
    """Name a job by what the sweep varies."""
    return " ".join(f"{key}={value}" for key, value in job.overrides.items()) or job.name


def order(name: str) -> tuple[int, str]:
    """Return where a job stands among others, by the name of its folder."""
    return (int(name), "") if name.isdecimal() else (-1, name)


def _job(folder: Folder, start: Event, varied: Sequence[str]) -> Job:
    settings, result = _settings(start), folder.source.result
    return Job(
        name=folder.path.name,
        overrides={key: settings.get(key, "") for key in varied},
        result=result,
        curve=folder.source.series(result.monitor),
    )


def _settings(start: Event) -> dict[str, str]:
    pairs = (override.partition("=") for override in start["overrides"])
    return {key.lstrip("+"): value for key, _, value in pairs}


def _varied(starts: Sequence[Event]) -> list[str]:
    """Name the settings that are not the same in all jobs, in their first order."""
    settings = [_settings(start) for start in starts]
    keys = dict.fromkeys(key for one in settings for key in one)
    # Reused runs may have had another place.
    wanted = [key for key in keys if decided_by(key) is not Decides.place]
    return [key for key in wanted if len({one.get(key) for one in settings}) > 1]


def _rank(job: Job) -> tuple[bool, float]:
    value = job.result.value
    worst = job.result.status is not Status.finished or math.isnan(value)
    return worst, 0.0 if worst else -value if job.result.higher_is_better else value
