"""What diagnostics leave in a run's folder, made of its journal."""

from collections.abc import Iterable

from experiments.report import diagnostics
from experiments.runs.events import Event
from experiments.runs.folder import Folder
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.training.diagnostics.measurement import Layers

TABLE, FIGURE = "diagnostics.csv", "diagnostics.png"


def leave(tracker: Tracker, experiment: Experiment, *, alone: bool) -> None:
    """Hand over a table of what was measured, and where figures are wanted one; if there is any."""
    if tracker.folder is None or experiment.diagnostics.every is None:
        return
    steps = steps_of(Folder(tracker.folder).events())
    if not steps:
        return
    (tracker.folder / TABLE).write_text(diagnostics.layers_table(steps), encoding="utf-8")
    tracker.artifact(TABLE)
    if alone if experiment.tracking.figures is None else experiment.tracking.figures:
        folder = tracker.folder / "figures"
        folder.mkdir(exist_ok=True)
        diagnostics.layers_chart(folder / FIGURE, steps)
        tracker.artifact(f"figures/{FIGURE}", "figures")


def steps_of(events: Iterable[Event]) -> dict[int, Layers]:
    """Return what a journal has of each step; where some were taken again, what came of it then."""
    steps: dict[int, Layers] = {}
    for event in events:
        if event["event"] == "resume":
            steps = {t: layers for t, layers in steps.items() if t <= event["step"]}
        elif event["event"] == "layers":
            steps[event["step"]] = event["layers"]
    return dict(sorted(steps.items()))
