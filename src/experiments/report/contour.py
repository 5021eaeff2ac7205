"""Paths of two parameters over the contour of the loss, on one PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from experiments.report.figures import PALETTE, drawing, fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From a valley's floor to its heights: blue-greys whose lightness (CIE L*) falls evenly, 98 to 62,
# so that equal factors of the loss look equally far apart, and every path stands out.
_HEIGHTS = ("#F6FAFC", "#E1E9F0", "#CDD9E4", "#B9C8D8", "#A4B8CC", "#90A9C0", "#7C99B4")
_FLOOR = 0.002  # the part of the plane that is one valley floor
_FEW = 60  # points of a path that are each marked
_FINE = 1500  # parts of an axis that a turn must be as large as to be seen
_FAR = 1e6  # times the box, beyond which a point is drawn nearer
_MARKS = {  # marker, size, fill and edge
    "start": ("o", 7, "white", "black"),
    "end": ("o", 8, "#777777", "white"),
    "leaves the picture": ("X", 10, "#777777", "white"),
    "minimum": ("*", 14, "#FFC20A", "black"),
}
Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contour:
    """The loss over a plane: `values` [Y, X] at `xs` [X] and `ys` [Y].

    `names` are of the two axes, `minima` the points known to be lowest.
    """

    xs: Tensor
    ys: Tensor
    values: Tensor
    names: tuple[str, str] = ("x", "y")
    minima: Sequence[Place] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """A contour, and the paths on it by their names: rows [N, 2] of points.

    `notes` say more of some paths, which is of this panel alone.
    """

    contour: Contour
    paths: dict[str, Tensor]
    notes: dict[str, str] = field(default_factory=dict)
    title: str = ""


def contours(path: Path, panels: Sequence[Panel], *, title: str, small: bool = False) -> None:
    """Draw panels side by side; a path has one colour in all of them.

    Where they are `small`, they have no numbers at their axes, and several paths alone have a key.
    """
    names = dict.fromkeys(chain.from_iterable(panel.paths for panel in panels))
    colors = dict(zip(names, cycle(PALETTE), strict=False))
    columns = min(len(panels), 3)
    rows, width = math.ceil(len(panels) / columns), 2.5 if small else 6.4
    lines = max(len(panel.paths) for panel in panels) if len(names) > 1 or not small else 0
    size = (columns * width, 0.4 + rows * (0.82 * width + 0.12 * lines))
    with drawing(path, title=title, size=size) as figure:
        for place, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            axes.set_title(fitted(panel.title, 60), fontsize=10)
            _heights(axes, panel.contour, small=small)
            keys = {
                fitted(f"{name} {panel.notes.get(name, '')}".strip(), 60): _line(
                    axes, panel.contour, points, color=colors[name]
                )
                for name, points in reversed(panel.paths.items())  # the first ones on top
            }
            for minimum in panel.contour.minima:
                _mark(axes, "minimum", minimum)
            if lines:
                _key(axes, dict(reversed(keys.items())), width, marks=not small)


def _key(axes: "Axes", keys: dict[str, Any], width: float, *, marks: bool) -> None:
    """Say below a panel which path is which, and what the marks stand for."""
    known = {mark.get_label() for mark in axes.lines} if marks else set()
    nowhere = (math.nan, math.nan)
    keys |= {name: _mark(axes, name, nowhere) for name in _MARKS if name in known}
    columns = max(1, min(4, int(10 * width) // (6 + max(map(len, keys)))))
    below: Any = {"loc": "upper left", "bbox_to_anchor": (0, -0.12 if marks else -0.02)}
    size = 9 if marks else 7.5  # points
    axes.legend(keys.values(), keys.keys(), ncols=columns, fontsize=size, **below)


def _heights(axes: "Axes", contour: Contour, *, small: bool) -> None:
    """Fill the plane with the loss above its least value, on a log scale."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    known = contour.values[contour.values.isfinite()]
    least = known.min().item() if len(known) else 0.0
    above = contour.values.nan_to_num(math.inf, math.inf) - least
    positive = above[above.isfinite() & (above > 0)]
    positive = positive if len(positive) else torch.ones(1)
    floor, top = (positive.quantile(part).log10().item() for part in (_FLOOR, 1.0))
    levels = torch.linspace(floor, max(top, floor + 1e-6), (14 if small else 20) + 1).tolist()
    heights = above.clamp(10**floor, 10**top).log10().numpy()
    plane = (contour.xs.numpy(), contour.ys.numpy(), heights)
    colors = LinearSegmentedColormap.from_list("heights", _HEIGHTS)
    filled = axes.contourf(*plane, levels=levels, cmap=colors)
    axes.autoscale(enable=False)
    if small:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    else:
        lines: Any = {"colors": "white", "linestyles": "solid", "linewidths": 0.5, "alpha": 0.8}
        axes.contour(*plane, levels=levels, **lines)
        axes.set(xlabel=contour.names[0], ylabel=contour.names[1])
        label = "loss" if abs(least) < 10**floor else f"loss − {least:.4g}"
        scale = axes.figure.colorbar(filled, ax=axes, label=label, aspect=40)
        scale.locator = MaxNLocator(6, integer=True)
        scale.formatter = FuncFormatter(lambda power, _: f"{10**power:g}")
        scale.outline.set_visible(False)
        scale.update_ticks()


def _line(axes: "Axes", contour: Contour, points: Tensor, color: str) -> Any:
    """Draw a path up to where it ends or leaves for good, and return the line."""
    low, high = _corners(contour)
    points = points[: int(points.isfinite().all(-1).cumprod(0).sum())].double()
    points, end = _within(points, low, high)
    xy = _thinned(points, low, high)
    width = 1.8 if len(xy) <= 10 * _FEW else 1.0
    steps: Any = {"marker": ".", "markersize": 7} if len(points) <= _FEW else {}
    axes.plot(*xy.T.numpy(), color="white", linewidth=width + 1.6)
    (line,) = axes.plot(*xy.T.numpy(), color=color, linewidth=width, **steps)
    _mark(axes, "start", points[0])
    _mark(axes, end, points[-1], fill=color)
    return line


def _mark(axes: "Axes", name: str, place: Tensor | Place, fill: str = "") -> Any:
    """Mark a place as what it is, and return the mark."""
    marker, size, color, edge = _MARKS[name]
    look: Any = {"marker": marker, "markersize": size, "markeredgecolor": edge, "linestyle": ""}
    x, y = map(float, place)
    (mark,) = axes.plot(x, y, color=fill or color, label=name, zorder=4, clip_on=False, **look)
    return mark


def _corners(contour: Contour) -> tuple[Tensor, Tensor]:
    ends = torch.stack([contour.xs[[0, -1]], contour.ys[[0, -1]]], 1)
    return ends[0], ends[1]


def _thinned(points: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Leave out points that no eye tells from the one before, and bring very far ones nearer."""
    size = high - low
    _, counts = (
        ((points - low) / size * _FINE).round().unique_consecutive(dim=0, return_counts=True)
    )
    kept = points[counts.cumsum(0) - 1]
    centre = (low + high) / 2
    away = ((kept - centre) / size).abs().amax(-1, keepdim=True)
    return centre + (kept - centre) * (_FAR / away).clamp(max=1)


def _within(points: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, str]:
    """Cut a path off at the edge where it leaves the box for good; say how it ends."""
    inside = ((points >= low) & (points <= high)).all(-1)
    if inside[-1] or not inside.any():
        return points, "end"
    last = int(inside.nonzero().max())
    here, way = points[last], points[last + 1] - points[last]
    # The part of the way to the nearest edge that it goes towards.
    room = torch.where(way > 0, high - here, low - here) / way
    edge = here + way * room.nan_to_num(math.inf).min()
    return torch.cat([points[: last + 1], edge[None]]), "leaves the picture"
