"""The figures of a sweep's jobs, each one PNG: how they learned, and what a setting did.

Each is written whatever there is to show; places on an axis are those of `scales`, 0 to 1.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from experiments.report.figures import PALETTE, WIDTH, drawing
from experiments.report.sweep.outcomes import (
    LARGEST,
    Outcome,
    is_drawn,
    lost_rows,
    ranked,
    repeated_over,
    short_names,
    swept,
)
from experiments.report.sweep.scales import Scale, shown, written
from experiments.report.sweep.ticks import line, metric_axis, setting_axis
from experiments.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quartiles = tuple[int, float, float, float]  # a step, and three values there
Placed = Sequence[tuple[float, Outcome]]  # jobs at their places along an axis

_BLUE, _RED, _GREY = PALETTE[0], PALETTE[1], "#777777"
_MARKS = {"diverged": ("x", _RED), "failed": ("+", "#000000"), "pruned": ("|", PALETTE[3])}
_DISTINCT = 40  # values of a setting that each have a median; more numbers share 20


def learning_curves(
    path: Path, outcomes: Sequence[Outcome], *, ylabel: str, higher_is_better: bool
) -> None:
    """Draw, for the best settings, the median over repetitions at each step, and the quartiles.

    A step's median is that of the repetitions that have a value there; one not finite is the worst.
    The second half of the steps is drawn once more, larger.
    """
    worst = -LARGEST if higher_is_better else LARGEST
    groups = ranked(outcomes, higher_is_better=higher_is_better)
    curves = [(group, list(_quartiles(group, worst))) for group in groups]
    best = [(group, curve) for group, curve in curves if any(row[2] != worst for row in curve)]
    best = best[: len(PALETTE)]
    names = short_names(swept(outcomes))
    labels = [_label(group, names) for group, _ in best]
    drawn = [curve for _, curve in best]
    last = max((curve[-1][0] for curve in drawn), default=0)
    late = [[row for row in curve if 2 * row[0] >= last] for curve in drawn]
    columns = 2 if max(map(len, labels), default=0) <= 46 else 1
    title = ylabel
    title += f" of the best {len(best)} of {len(groups)} settings" if len(groups) > 1 else ""
    if len(groups) < len(outcomes):
        title += f": median and quartiles over {repeated_over(outcomes)}"
    size = (WIDTH, 4.0 + 0.2 * math.ceil(len(best) / columns))
    with drawing(path, title=shortened(title), size=size) as figure:
        for place, part in enumerate((drawn, late)):
            axes = figure.add_subplot(1, 2, 1 + place, xlabel="step")
            values = [row[2] for curve in part for row in curve if row[2] != worst]
            scale = Scale.of_metric(values, higher_is_better=higher_is_better)
            for curve, label, color in zip(part, labels, PALETTE, strict=False):
                _curve(axes, curve, scale, color=color, label=label)
            axes.set_xlim(last / 2 if place else 0, 1.02 * last or 1)
            axes.locator_params(axis="x", integer=True, nbins=6)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            metric_axis(axes, scale, {})
        figure.axes[0].set_ylabel(line(ylabel, 60))
        keys = figure.axes[0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside lower left", ncols=columns, fontsize=9)


def against(
    path: Path, outcomes: Sequence[Outcome], key: str, *, ylabel: str, higher_is_better: bool
) -> None:
    """Draw the metric over one setting: a point a job, the medians, and the lost beside them."""
    scale = Scale.of_setting([one.settings.get(key, "") for one in outcomes])
    placed = _spread(outcomes, key, scale)
    scored = [(place, one) for place, one in placed if one.is_scored]
    metric = Scale.of_metric([one.value for _, one in scored], higher_is_better=higher_is_better)
    rows = lost_rows(outcomes, higher_is_better=higher_is_better)
    title = f"{ylabel} against {key}"
    with drawing(path, title=shortened(title), size=(WIDTH, 4.8)) as figure:
        axes = figure.add_subplot(ylabel=line(ylabel, 60))
        axes.set_xlabel(line(key, 80) + (" (log scale)" if scale.kind == "log" else ""))
        if scored:
            _points(axes, scored, metric)
            _medians(axes, [one for _, one in scored], key, scale=scale, metric=metric)
        for ending, row in rows.items():
            lost = [place for place, one in placed if not one.is_scored and one.ending == ending]
            marker, color = _MARKS.get(ending, ("1", _GREY))
            label = f"{len(lost):,} {line(ending, 20)}"
            heights = [row] * len(lost)
            axes.plot(lost, heights, linestyle="", marker=marker, color=color, label=label)
        metric_axis(axes, metric, rows)
        setting_axis(axes, scale)
        axes.legend(*axes.get_legend_handles_labels(), loc=(0, 1.02), ncols=5, fontsize=9)


def _label(group: Sequence[Outcome], names: Mapping[str, str]) -> str:
    """Name the settings that a group's jobs share, with the median of their best values."""
    pairs = [f"{names[key]}={shown(value)}" for key, value in group[0].settings.items()]
    values = [outcome.value for outcome in group if outcome.is_scored]
    return line(" ".join([*([written(median(values))] if values else []), *pairs]) or "all", 110)


def _quartiles(group: Sequence[Outcome], worst: float) -> Iterator[Quartiles]:
    """Yield the 25th, 50th and 75th percentile over the jobs at each step that has a value."""
    values: dict[int, list[float]] = {}
    lengths = {len(outcome.curve) for outcome in group}
    # Folds may differ by an item, and so by the steps of an epoch.
    columns = zip(*(outcome.curve for outcome in group), strict=True) if len(lengths) == 1 else ()
    shared = [round(median(step for step, _ in column)) for column in columns]
    for outcome in group:
        for place, (step, value) in enumerate(outcome.curve):
            known = values.setdefault(shared[place] if shared else step, [])
            known.append(value if is_drawn(value) else worst)
    for step, found in sorted(values.items()):
        low, middle, high = quantiles(found * 2 if len(found) == 1 else found, method="inclusive")
        yield step, low, middle, high


def _curve(
    axes: "Axes", curve: Sequence[Quartiles], scale: Scale, *, color: str, label: str
) -> None:
    """Draw a median as a line and, where they differ, the quartiles as a band."""
    steps = [step for step, *_ in curve]
    low, middle, high = ([scale.at(row[part]) for row in curve] for part in (1, 2, 3))
    middle = [
        y if abs(row[2]) < LARGEST else math.nan for y, row in zip(middle, curve, strict=True)
    ]
    marker = "." if len(steps) <= 60 else ""
    axes.plot(steps, middle, color=color, label=label, marker=marker, linewidth=1.8)
    if low != high:
        axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)


def _spread(outcomes: Sequence[Outcome], key: str, scale: Scale) -> Placed:
    """Place jobs over a setting, those of one value slightly beside each other."""
    values = [one.settings.get(key, "") for one in outcomes]
    places = sorted({scale.place(value) for value in values if value or scale.kind == "text"})
    gap = min((high - low for low, high in pairwise(places)), default=0.5)
    width = 0.5 * gap if scale.kind == "text" else min(0.5 * gap, 0.03)
    seen: Counter[str] = Counter()
    placed = []
    for value, outcome in zip(values, outcomes, strict=True):
        # Multiples of the golden ratio fill the width evenly, however many there are.
        place = scale.place(value)
        part = seen[value] * 0.618 % 1 - 0.5
        placed.append((place + part * (width if place >= 0 else 0.06), outcome))
        seen[value] += 1
    return placed


def _points(axes: "Axes", scored: Placed, metric: Scale) -> None:
    """Draw the jobs that have a value, and triangles where it lies far off the axis."""
    size, alpha = (28, 0.5) if len(scored) <= 200 else (10, 0.3)
    near = [(place, one) for place, one in scored if metric.low <= one.value <= metric.high]
    far = [(place, one) for place, one in scored if not metric.low <= one.value <= metric.high]
    for part, marker, label in ((near, "o", "job"), (far, "^", "off the scale")):
        if part:
            heights = [metric.at(one.value) for _, one in part]
            look: Any = {"s": size, "alpha": alpha, "marker": marker, "color": _BLUE}
            name = f"{len(part):,} {label}" + ("s" if part is near and len(part) > 1 else "")
            axes.scatter([place for place, _ in part], heights, linewidth=0, label=name, **look)


def _medians(
    axes: "Axes", scored: Sequence[Outcome], key: str, *, scale: Scale, metric: Scale
) -> None:
    """Draw the median at each value of a setting: dashes over texts, and a line over numbers."""
    shared = scale.kind != "text" and len(scale.values) > _DISTINCT
    found: dict[float, list[tuple[float, float]]] = {}
    for outcome in scored:
        place = scale.place(outcome.settings.get(key, ""))
        found.setdefault(round(20 * place) / 20 if shared else place, []).append(
            (place, outcome.value)
        )
    points = [
        (median(place for place, _ in pairs), metric.at(median(value for _, value in pairs)))
        for _, pairs in sorted(found.items())
    ]
    dashes = [(x, y) for x, y in points if x < 0 or scale.kind == "text"]
    half = 0.3 / max(1, len(scale.values) - 1) if scale.kind == "text" else 0.02
    for x, y in dashes:
        axes.plot([x - half, x + half], [y, y], color=_BLUE, linewidth=2.5)
    joined = points[len(dashes) :]
    axes.plot(
        [x for x, _ in joined], [y for _, y in joined], color=_BLUE, linewidth=1.8, label="median"
    )
