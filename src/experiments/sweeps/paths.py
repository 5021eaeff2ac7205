"""The paths of a sweep's jobs over the loss of two parameters, those of a model in one panel."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hydra import initialize_config_dir
from torch import Tensor

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
        own = job.outcome.settings
        groups.setdefault(_told(own, filter(_is_of_loss, own)), []).append(job)
    made = (_panel(folder, name, group, remake) for name, group in list(groups.items())[:_MOST])
    return [panel for panel in made if panel is not None]


def _panel(folder: Path, title: str, jobs: Sequence[Job], remake: Remake) -> Panel | None:
    """Return what is drawn of jobs with the same loss, best first."""
    best = Folder(folder / jobs[0].name)
    if not len(trajectory.path_of(best.source.path)):
        return None
    paths, notes = dict[str, Tensor](), dict[str, str]()
    chosen = _chosen(jobs)
    for job, (name, note) in zip(chosen, _named(chosen), strict=True):
        rows = trajectory.path_of(Folder(folder / job.name).source.path)
        if len(rows):
            paths[name], notes[name] = rows[:, 1:], note
    session = prepare(remake(best.job["overrides"]))
    contour = landscape.contour(session, list(paths.values()))
    return Panel(contour=contour, paths=paths, notes=notes, title=title)


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


def _named(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    """Name jobs by their rule and other texts, and note their numbers; or both are the name."""
    settings = [job.outcome.settings for job in jobs]
    keys = [key for key in settings[0] if not _is_of_loss(key)]
    numbers = [key for key in keys if all(number_of(own[key]) is not None for own in settings)]
    texts = [key for key in keys if key not in numbers]
    named = [(_told(own, texts), _told(own, numbers)) for own in settings]
    if len({name for name, _ in named}) == len(named):
        return named if texts else [("all", note) for _, note in named]
    return [(_told(own, keys), "") for own in settings]


def _told(settings: Mapping[str, str], keys: Iterable[str]) -> str:
    names = short_names(list(settings))
    return " ".join(f"{names[key]}={shown(settings[key])}" for key in keys)


def _is_of_loss(key: str) -> bool:
    return key.partition(".")[0] in _LANDSCAPE
