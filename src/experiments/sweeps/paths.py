"""The paths of a sweep's jobs over the loss of two parameters, those of a model in one panel."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra import initialize_config_dir

from experiments.config import compose
from experiments.report.contour import Panel
from experiments.report.figures import PALETTE
from experiments.report.sweep.outcomes import short_names
from experiments.report.sweep.scales import number_of, shown
from experiments.runs.folder import Folder
from experiments.settings import Experiment
from experiments.sweeps.leaderboard import Job
from experiments.sweeps.plan import JOB, Plan
from experiments.training import landscape, trajectory
from experiments.training.session import prepare

_LANDSCAPE = ("model", "dataset", "loss")  # the settings that decide what the loss is
_MOST = 6  # panels
Remake = Callable[[Sequence[str]], Experiment]  # a job's experiment, of its overrides


def remake_of(plan: Plan, root: Path, name: str) -> Remake:
    """Return what composes the experiments of a sweep's jobs once more."""

    def remake(overrides: Sequence[str]) -> Experiment:
        hydra = compose.plain(plan.config.hydra.overrides.hydra)
        with initialize_config_dir(str(root / "conf"), version_base="1.3", job_name=JOB):
            composer = compose.composer(lambda lines: compose.composed(name, [*hydra, *lines]))
            return composer(overrides)[0]

    return remake


def panels(folder: Path, jobs: Sequence[Job], remake: Remake) -> list[Panel]:
    """Return the paths of the best jobs, whose folders lie in `folder`; of other models none."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        own = (f"{key}={text}" for key, text in job.overrides.items() if _is_of_loss(key))
        groups.setdefault(" ".join(own), []).append(job)
    made = (_panel(folder, name, group, remake) for name, group in list(groups.items())[:_MOST])
    return [panel for panel in made if panel is not None]


def _panel(folder: Path, title: str, jobs: Sequence[Job], remake: Remake) -> Panel | None:
    """Return what is drawn of jobs with the same loss, best first."""
    best = Folder(folder / jobs[0].name)
    if not len(trajectory.path_of(best.source.path)):
        return None
    chosen = _chosen(jobs)
    points = [trajectory.path_of(Folder(folder / job.name).source.path)[:, 1:] for job in chosen]
    paths = {label: path for label, path in zip(_labels(chosen), points, strict=True) if len(path)}
    session = prepare(remake(best.job["overrides"]))
    contour = landscape.contour(session, list(paths.values()))
    return Panel(contour=contour, paths=paths, title=title)


def _chosen(jobs: Sequence[Job]) -> list[Job]:
    """Choose one of each settings, or where these are many the best of each rule and other text."""
    found: dict[tuple[str, ...], Job] = {}
    for job in jobs:
        found.setdefault(tuple(job.outcome.settings.values()), job)
    if len(found) > len(PALETTE):
        by_text: dict[tuple[str, ...], Job] = {}
        for values, job in found.items():
            by_text.setdefault(tuple(text for text in values if number_of(text) is None), job)
        found = by_text if len(by_text) > 1 else found
    return list(found.values())[: len(PALETTE)]


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Name jobs by the settings in which they differ."""
    settings = [job.outcome.settings for job in jobs]
    keys = [key for key in settings[0] if not _is_of_loss(key)]
    names = short_names(keys)
    return [
        " ".join(f"{names[key]}={shown(own[key])}" for key in keys) or "all" for own in settings
    ]


def _is_of_loss(key: str) -> bool:
    return key.partition(".")[0] in _LANDSCAPE
