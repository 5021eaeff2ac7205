"""The jobs of a sweep as their folders have them, in order of their results."""

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.report.sweep import outcomes
from experiments.report.sweep.outcomes import Outcome
from experiments.runs import journal, results
from experiments.runs.journal import Event
from experiments.runs.results import Result
from experiments.training import resume

_SEED = "seed"
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
        return Outcome(
            settings={key: text for key, text in self.overrides.items() if key != _SEED},
            seed=self.overrides.get(_SEED, ""),
            status=self.result.status,
            value=self.result.value,
            curve=self.curve,
        )


def read(folder: Path) -> list[Job]:
    """Return the jobs whose folders lie in a sweep's folder, best first, failed ones last."""
    folders = sorted((run for run in map(_run_of, folder.iterdir()) if run), key=_number)
    firsts = [(run, next(journal.read(source / journal.FILE), None)) for run, source in folders]
    starts = [(run, first[0]) for run, first in firsts if first]  # a full disk may have none
    sources = dict(folders)
    varied = _varied([event for _, event in starts])
    jobs = [_job(run, sources[run], start, varied) for run, start in starts]
    return sorted(jobs, key=_rank)


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
        shown = ["" if value is None else f"{value:.4f}" for value in values]
        end = [str(job.result.step), f"{job.result.seconds:.1f}", job.result.status]
        rows.append([job.name, *job.overrides.values(), *shown, *end])
    return header, rows


def over_seeds(jobs: Sequence[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of the settings with mean and deviation over their seeds.

    There are none where no setting has several seeds, or none a value.
    """
    first = jobs[0].result
    groups = outcomes.ranked([job.outcome for job in jobs], higher_is_better=first.higher_is_better)
    settings = outcomes.swept([job.outcome for job in jobs])
    rows = []
    for group in groups:
        values = [one.value for one in group if one.is_scored]
        mean = f"{statistics.mean(values):.4f}" if values else ""
        deviation = f"{statistics.stdev(values):.4f}" if len(values) > 1 else ""
        lost = len(group) - len(values)
        own = [group[0].settings.get(key, "") for key in settings]
        rows.append([*own, mean, deviation, str(len(group)), str(lost)])
    several = any(len(group) > 1 for group in groups) and first.monitor != ""
    return [*settings, f"mean {first.monitor}", "deviation", "seeds", "lost"], rows * several


def label(job: Job) -> str:
    """Name a job by what the sweep varies."""
    return " ".join(f"{key}={value}" for key, value in job.overrides.items()) or job.name


def _run_of(folder: Path) -> tuple[Path, Path] | None:
    """Return a job's folder, and the one of its run, which another sweep may have made."""
    if (folder / journal.FILE).exists():
        return folder, folder
    reused = folder / resume.REUSED
    if reused.exists():
        source = Path(json.loads(reused.read_text(encoding="utf-8"))["folder"])
        return (folder, source) if (source / journal.FILE).exists() else None
    return None


def _number(run: tuple[Path, Path]) -> tuple[int, str]:
    name = run[0].name
    return (int(name), "") if name.isdecimal() else (-1, name)


def _job(folder: Path, source: Path, start: Event, varied: Sequence[str]) -> Job:
    result = results.read(source) or results.unfinished()
    settings = _settings(start)
    return Job(
        name=folder.name,
        overrides={key: settings.get(key, "") for key in varied},
        result=result,
        curve=list(_curve(source, result.monitor)),
    )


def _curve(folder: Path, name: str) -> Iterator[tuple[int, float]]:
    for event, _ in journal.read(folder / journal.FILE):
        if event["event"] == "metrics" and name in event["values"]:
            yield event["step"], event["values"][name]


def _settings(start: Event) -> dict[str, str]:
    pairs = (override.partition("=") for override in start["overrides"])
    return {key.lstrip("+"): value for key, _, value in pairs}


def _varied(starts: Sequence[Event]) -> list[str]:
    """Name the settings that are not the same in all jobs, in their first order."""
    settings = [_settings(start) for start in starts]
    keys = dict.fromkeys(key for one in settings for key in one)
    elsewhere = ("output", "tracking.", "hydra.")  # what reused runs may have otherwise
    wanted = [key for key in keys if not key.startswith(elsewhere)]
    return [key for key in wanted if len({one.get(key) for one in settings}) > 1]


def _rank(job: Job) -> tuple[bool, float]:
    value = job.result.value
    worst = job.result.status != "finished" or math.isnan(value)
    return worst, 0.0 if worst else -value if job.result.higher_is_better else value
