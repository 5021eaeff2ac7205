"""The run that stands for a whole sweep: its leaderboard and its page."""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from experiments.errors import ExperimentError
from experiments.report import figures
from experiments.report.contour import contours
from experiments.report.sweep import curves, heatmap, parallel
from experiments.report.sweep.outcomes import repeated_over, swept
from experiments.report.tables import markdown_table, text_table
from experiments.runs import code, provenance
from experiments.runs.folder import Folder
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.runs.result import Status
from experiments.settings import Experiment
from experiments.sweeps import leaderboard, paths
from experiments.sweeps.leaderboard import Job, label
from experiments.sweeps.paths import Remake
from experiments.training.handover import write

_SHOWN = 20  # rows of a table on a page or a screen; the files have all
_AXES = 6  # settings that each have a figure
log = logging.getLogger(__name__)


class Sweep:
    """A parent run, from before the first job to after the last."""

    def __init__(
        self,
        experiment: Experiment,
        tracker: Journal,
        identity: Identity,
        root: Path,
        config: Mapping[str, str],
        remake: Remake,
    ) -> None:
        self._tracker, self._arguments = tracker, ["-m", *identity.overrides]
        self._remake = remake
        if tracker.position():
            tracker.add("resume", step=0)
            return
        tracker.add(
            "start",
            run_id=identity.run_id,
            parent_id=None,
            experiment=experiment.tracking.experiment,
            name=identity.name,
            overrides=list(identity.overrides),
            params={"sweep": config["sweep"]},
            tags=provenance.tags(root, self._arguments),
            config=dict(config),
        )
        if patch := provenance.patch(root):
            write(tracker, "code.patch", patch)

    def close(self, status: str) -> None:
        """Rank the jobs, best first, and end the parent run, if its page can be made."""
        try:
            if jobs := leaderboard.read(self._folder):
                # Figures take seconds, in which whoever has interrupted a sweep would wait.
                self._publish(jobs, draw=status != "KILLED")
            self._add_sources()
            self._tracker.add("end", status=status)
        except BaseException:
            with suppress(OSError):  # the same command is to make the page
                self._tracker.add("end", status="KILLED")
            raise
        finally:
            self._tracker.close()

    def _add_sources(self) -> None:
        """Hand over the code of plugins, which the jobs have left."""
        for path in sorted((self._folder / code.SOURCES).rglob("*.py")):
            place = path.relative_to(self._folder)
            self._tracker.artifact(place.as_posix(), place.parent.as_posix())

    def _publish(self, jobs: Sequence[Job], *, draw: bool) -> None:
        header, rows = leaderboard.table(jobs)
        parts = [f"{len(jobs)} jobs, best first", markdown_table(header, rows[:_SHOWN])]
        if any(map(_has_ended, jobs)):
            print(f"\n{text_table(header, rows[:_SHOWN])}", flush=True)
            if more := rows[_SHOWN:]:
                print(f"and {len(more)} more in {self._folder}/leaderboard.md", flush=True)
        write(self._tracker, "leaderboard.md", markdown_table(header, rows))
        self._write_csv("leaderboard.csv", _records(jobs))
        header, rows = leaderboard.averaged(jobs)
        if rows:
            print(f"\n{text_table(header, rows[:_SHOWN])}", flush=True)
            over = f"over {repeated_over(job.outcome for job in jobs)}"
            name = over.replace(" ", "_")
            write(self._tracker, f"{name}.md", markdown_table(header, rows))
            self._write_csv(f"{name}.csv", [dict(zip(header, r, strict=True)) for r in rows])
            parts += [over.capitalize(), markdown_table(header, rows[:_SHOWN])]
        print(flush=True)
        best = jobs[0]
        if best.result.status is Status.finished:
            name, ended = f"best/{best.result.monitor}", sum(map(_has_ended, jobs))
            # An earlier part of the sweep may have come as far.
            if (ended, best.result.value) not in Folder(self._folder).series(name):
                self._tracker.metrics(ended, {name: best.result.value})
            if draw:
                self._draw(jobs, best.result.monitor)
        parts.append(f"Again: `{provenance.command(self._arguments)}`")
        self._tracker.add("tags", values={"mlflow.note.content": "\n\n".join(parts)})

    @property
    def _folder(self) -> Path:
        assert self._tracker.folder is not None
        return self._tracker.folder

    def _write_csv(self, name: str, rows: Sequence[dict[str, object]]) -> None:
        names = dict.fromkeys(name for row in rows for name in row)
        with (self._folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            writer.writerows(rows)
        self._tracker.artifact(name)

    def _draw(self, jobs: Sequence[Job], monitor: str) -> None:
        folder = self._folder / "figures"
        folder.mkdir(exist_ok=True)
        for name in chain(_figures(folder, jobs, monitor), self._paths(folder, jobs)):
            self._tracker.artifact(f"figures/{name}", "figures")

    def _paths(self, folder: Path, jobs: Sequence[Job]) -> Iterator[str]:
        """Draw the paths of jobs on a problem of two parameters, if it is one."""
        try:
            if panels := paths.panels(self._folder, jobs, self._remake):
                contours(folder / "paths.png", panels, title="Paths of the best settings")
                yield "paths.png"
        except ExperimentError as error:  # as of a disk, or of data that are gone
            log.warning("The paths of the jobs could not be drawn: %s", error)


def _has_ended(job: Job) -> bool:
    return job.result.status is not Status.unfinished


def _figures(folder: Path, jobs: Sequence[Job], monitor: str) -> Iterator[str]:
    """Draw a sweep's figures into a folder, and yield their names."""
    outcomes = [job.outcome for job in jobs]
    keys, higher = swept(outcomes), jobs[0].result.higher_is_better
    bars = [(label(job), job.result.value) for job in jobs if job.result.status is Status.finished]
    figures.leaderboard_bars(folder / "leaderboard.png", bars, ylabel=monitor)
    yield "leaderboard.png"
    curves.learning_curves(folder / "curves.png", outcomes, ylabel=monitor, higher_is_better=higher)
    yield "curves.png"
    for key in keys[:_AXES]:
        name = f"{monitor.rpartition('/')[2]}_by_{''.join(c if c.isalnum() else '_' for c in key)}"
        curves.against(
            folder / f"{name}.png", outcomes, key, ylabel=monitor, higher_is_better=higher
        )
        yield f"{name}.png"
    if len(keys) == 2:
        heatmap.heat_map(
            folder / "heat_map.png",
            outcomes,
            (keys[0], keys[1]),
            label=monitor,
            higher_is_better=higher,
        )
        yield "heat_map.png"
    if keys:
        page = parallel.page(outcomes, label=monitor, higher_is_better=higher)
        (folder / "parallel.html").write_text(page, encoding="utf-8")
        yield "parallel.html"


def _records(jobs: Sequence[Job]) -> list[dict[str, object]]:
    """Return all that is known of each job, for a table that is read by programs."""
    return [
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
