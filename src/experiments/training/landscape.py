"""The loss of a model of two parameters over the plane of these, as its pictures show it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.func import vmap

from experiments.plugin import registry
from experiments.plugin.spec import Parameter
from experiments.report.contour import Contour, Panel, contours
from experiments.runs.tracker import Tracker
from experiments.training.session import Session
from experiments.training.trajectory import is_plane, path_of

_ITEMS = 2048  # of the train split, that the loss is computed on
_AT_ONCE = 2**20  # items of all points together
_SIZE = 200  # points along an axis
_MOST = 1000  # points of a path that a box is chosen by
_MARGIN = 0.2  # of the box around what it is to hold

Box = tuple[float, float, float, float]


def draw(tracker: Tracker, session: Session, *, alone: bool) -> None:
    """Draw the path of two parameters where figures are wanted, and leave a table of it.

    `alone` is a run of no sweep.
    """
    wanted, run = session.experiment.tracking.figures, tracker.folder
    if run is None or not is_plane(session.params) or not (alone if wanted is None else wanted):
        return
    folder = run / "figures"
    folder.mkdir(exist_ok=True)
    for name in _drawn(folder, session, path_of(run)):
        tracker.artifact(f"figures/{name}", "figures")


def _drawn(folder: Path, session: Session, rows: Tensor) -> Iterator[str]:
    """Draw rows [N, 3] of a step and its point, write them, and yield the files' names."""
    name, points = registry.name_of(type(session.experiment.optimizer)), rows[:, 1:]
    panel = Panel(contour=contour(session, [points]), paths={name: points})
    contours(folder / "path.png", [panel], title=f"Path of {name}: {len(points) - 1:,} steps")
    yield "path.png"
    header = ",".join(["step", *panel.contour.names])
    lines = (f"{step:.0f},{x!r},{y!r}" for step, x, y in rows.tolist())
    (folder / "path.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    yield "path.csv"


def contour(session: Session, paths: Sequence[Tensor]) -> Contour:
    """Return the loss around paths, rows [N, 2] of points, or in the box that the model names."""
    landmarks = session.experiment.model.landmarks()
    x0, x1, y0, y1 = _box(session, paths, landmarks.box, landmarks.minima)
    xs, ys = (torch.linspace(*ends, _SIZE, dtype=torch.float64) for ends in ((x0, x1), (y0, y1)))
    points = torch.cartesian_prod(ys, xs).flip(-1)
    return Contour(
        xs=xs,
        ys=ys,
        values=losses(session, points).reshape(_SIZE, _SIZE),
        names=_names(session.params.layout.places),
        minima=landmarks.minima,
    )


@torch.no_grad()
def losses(session: Session, points: Tensor) -> Tensor:
    """Return the loss [N] at points [N, 2], on the first items of the train split."""
    inputs, targets = session.batches["train"].first(_ITEMS)
    model, split = session.model.aside(), session.params.layout.split

    def loss(vector: Tensor) -> Tensor:
        return session.loss_fn(model(split(vector), inputs), targets)

    vectors, together = points.to(session.params.vector), max(1, _AT_ONCE // len(targets))
    model.train(False)
    try:
        values = vmap(loss, chunk_size=together)(vectors)
    except RuntimeError:  # of a model that decides on values
        values = torch.stack([loss(vector) for vector in vectors])
    model.train()
    return values.double().cpu()


def _box(
    session: Session, paths: Sequence[Tensor], known: Box | None, minima: Sequence[Sequence[float]]
) -> Box:
    """Choose what to draw: all starts, and where there is no known box what is no higher."""
    shown = [path[:1] for path in paths]
    if known is None:
        shown += [torch.tensor(minima, dtype=torch.float64).reshape(-1, 2)]
        shown += [_low(session, path[:: 1 + len(path) // _MOST]) for path in paths]
    low, high = torch.cat(shown).aminmax(dim=0)
    if known is not None:
        corners = torch.tensor(known, dtype=torch.float64).reshape(2, 2).T
        low, high = torch.minimum(low, corners[0]), torch.maximum(high, corners[1])
        return low[0].item(), high[0].item(), low[1].item(), high[1].item()
    reach = (high - low).clamp(min=0.2 * (high - low).max().item() or 1.0) * (0.5 + _MARGIN)
    middle = (low + high) / 2
    (x0, y0), (x1, y1) = (middle - reach).tolist(), (middle + reach).tolist()
    return x0, x1, y0, y1


def _low(session: Session, path: Tensor) -> Tensor:
    """Return the points of a path whose loss is no higher than that of its start."""
    path = path[path.isfinite().all(-1)]
    values = losses(session, path)
    return path[values <= values[:1]]


def _names(places: Sequence[Parameter]) -> tuple[str, str]:
    """Name the two parameters: an element by its place, the only one of a tensor by its name."""
    names = [
        place.name if place.shape.numel() == 1 else f"{place.name}[{n}]"
        for place in places
        for n in range(place.shape.numel())
    ]
    return names[0], names[1]
