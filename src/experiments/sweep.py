"""The run that stands for a whole sweep: its leaderboard and its figures."""

import csv
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import figures, journal, provenance, results
from experiments.journal import Event, Journal
from experiments.provenance import Identity
from experiments.results import Result
from experiments.resuming import sweep_config
from experiments.settings import Experiment
from experiments.tables import markdown_table, text_table

_SHOWN = 10  # curves in one figure
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One run of a sweep: its folder's name, the settings that the sweep varies, its outcome."""

    name: str
    overrides: dict[str, str]
    result: Result
    curve: figures.Points


class Sweep:
    """A parent run, from before the first job to after the last."""

    def __init__(
        self, experiment: Experiment, tracker: Journal, identity: Identity, root: Path
    ) -> None:
        self._tracker, self._arguments = tracker, ["-m", *identity.overrides]
        if tracker.position():
            tracker.add("resume", step=0)
            return
        config = sweep_config(identity.overrides)
        tracker.add(
            "start",
            run_id=identity.run_id,
            parent_id=None,
            experiment=experiment.tracking.experiment,
            name=identity.name,
            overrides=list(identity.overrides),
            params=config,
            tags=provenance.tags(root, self._arguments),
            config=config,
        )
        results.write_patch(tracker, root)

    def close(self, status: str) -> None:
        """Rank the jobs, best first, and end the parent run."""
        assert self._tracker.folder is not None
        jobs = leaderboard(self._tracker.folder)
        try:
            if jobs:
                # Figures take seconds, in which whoever has interrupted a sweep would wait.
                self._publish(jobs, draw=status != "KILLED")
        finally:
            self._tracker.add("end", status=status)
            self._tracker.close()

    def _publish(self, jobs: Sequence[Job], *, draw: bool) -> None:
        header, rows = table(jobs)
        print(f"\n{text_table(header, rows)}\n", flush=True)
        markdown = markdown_table(header, rows)
        results.write(self._tracker, "leaderboard.md", markdown)
        self._write_csv(jobs)
        best = jobs[0]
        if best.result.status == "finished":
            monitor, value = best.result.monitor, best.result.value
            self._tracker.metrics(0, {f"best/{monitor}": value})
            if draw:
                self._draw(jobs, monitor)
        command = provenance.command(self._arguments)
        note = f"{markdown}\n\nAgain: `{command}`"
        self._tracker.add("tags", values={"mlflow.note.content": note})

    def _write_csv(self, jobs: Sequence[Job]) -> None:
        assert self._tracker.folder is not None
        rows = [
            {
                "job": job.name,
                **job.overrides,
                "status": job.result.status,
                "reason": job.result.reason,
                "step": job.result.step,
                "seconds": job.result.seconds,
                **job.result.metrics,
            }
            for job in jobs
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        with (self._tracker.folder / "leaderboard.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            writer.writerows(rows)
        self._tracker.artifact("leaderboard.csv")

    def _draw(self, jobs: Sequence[Job], monitor: str) -> None:
        assert self._tracker.folder is not None
        folder = self._tracker.folder / "figures"
        folder.mkdir(exist_ok=True)
        bars = [(label(job), job.result.value) for job in jobs if job.result.status == "finished"]
        figures.leaderboard_bars(folder / "leaderboard.png", bars, ylabel=monitor)
        curves = {label(job): job.curve for job in jobs[:_SHOWN]}
        title = f"{monitor} of the best {len(curves)} of {len(jobs)} runs"
        figures.curves(folder / "curves.png", curves, title=title, ylabel=monitor)
        for name in ("leaderboard.png", "curves.png"):
            self._tracker.artifact(f"figures/{name}", "figures")


def leaderboard(folder: Path) -> list[Job]:
    """Return the jobs whose folders lie in a sweep's folder, best first, failed ones last."""
    journals = sorted(folder.glob(f"*/{journal.FILE}"), key=lambda path: path.stat().st_ctime_ns)
    firsts = [(path.parent, next(journal.read(path), None)) for path in journals]
    starts = [(run, first[0]) for run, first in firsts if first]  # a full disk may have none
    varied = _varied([event for _, event in starts])
    jobs = [_job(run, start, varied) for run, start in starts]
    return sorted(jobs, key=_rank)


def table(jobs: Sequence[Job]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a leaderboard."""
    varied = list(jobs[0].overrides)
    monitor = jobs[0].result.monitor
    metrics = [f"best/{monitor}", f"final/{monitor}", monitor.replace("val/", "test/")]
    header = ["job", *varied, *metrics, "step", "seconds", "status"]
    rows = []
    for job in jobs:
        values = [job.result.metrics.get(name) for name in metrics]
        shown = ["" if value is None else f"{value:.4f}" for value in values]
        end = [str(job.result.step), f"{job.result.seconds:.1f}", job.result.status]
        rows.append([job.name, *job.overrides.values(), *shown, *end])
    return header, rows


def label(job: Job) -> str:
    """Name a job by what the sweep varies."""
    return " ".join(f"{key}={value}" for key, value in job.overrides.items()) or job.name


def _job(folder: Path, start: Event, varied: Sequence[str]) -> Job:
    result = results.read(folder) or results.unfinished()
    settings = _settings(start)
    return Job(
        name=folder.name,
        overrides={key: settings.get(key, "") for key in varied},
        result=result,
        curve=list(_curve(folder, result.monitor)),
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
    return [key for key in keys if len({one.get(key) for one in settings}) > 1]


def _rank(job: Job) -> tuple[bool, float]:
    value = job.result.value
    worst = job.result.status != "finished" or math.isnan(value)
    return worst, 0.0 if worst else -value if job.result.higher_is_better else value
