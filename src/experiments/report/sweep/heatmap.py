"""The figure of two settings of a sweep: the metric at each pair of their values."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from experiments.report.figures import WIDTH, drawing
from experiments.report.sweep.outcomes import Outcome
from experiments.report.sweep.scales import UNSET, Scale, Tick, thinned, written
from experiments.report.sweep.ticks import line, mark_columns
from experiments.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cell = tuple[int, int]  # column and row

_MOST = 40  # values with a column or a row each; more numbers than these share 20
_SHARED = 20
_PALE, _HATCH = "#F2F2F2", "#BBBBBB"


class _Side:
    """The columns, or the rows, of one setting's values."""

    def __init__(self, key: str, outcomes: Sequence[Outcome]) -> None:
        self.key = key
        self.scale = Scale.of_setting([one.settings.get(key, "") for one in outcomes])
        values = len(self.scale.values)
        self._is_shared = self.scale.kind in ("linear", "log") and values > _MOST
        # Jobs without the setting have the first cell, an empty one before the numbers' cells.
        self._first = 2 if self._is_shared and "" in self.scale.indexes else 0
        self.count = self._first + _SHARED if self._is_shared else max(1, values)

    def index(self, outcome: Outcome) -> int:
        """Return the number of an outcome's column or row."""
        value = outcome.settings.get(self.key, "")
        if not self._is_shared:
            return self.scale.indexes[value]
        place = self.scale.place(value)
        return 0 if place < 0 else self._first + min(int(place * _SHARED), _SHARED - 1)

    def ticks(self) -> Iterator[Tick]:
        """Yield the places of the ticks, in cells, and their labels."""
        if not self._is_shared:
            yield from ((float(index), label) for index, label in enumerate(self.scale.values))
            return
        for place, label in self.scale.ticks:
            yield (0.0 if label == UNSET else self._first + place * _SHARED - 0.5), label


def heat_map(
    path: Path,
    outcomes: Sequence[Outcome],
    keys: tuple[str, str],
    *,
    label: str,
    higher_is_better: bool,
) -> None:
    """Draw the median of the finished jobs at each pair of two settings' values, the best dark.

    A cell is hatched where no job finished, and says so; it is empty where there was no job.
    """
    across, up = (_Side(key, outcomes) for key in keys)
    cells: dict[Cell, list[Outcome]] = {}
    for outcome in outcomes:
        cells.setdefault((across.index(outcome), up.index(outcome)), []).append(outcome)
    medians = _medians(cells)
    metric = Scale.of_metric(medians.values(), higher_is_better=higher_is_better)
    title = shortened(f"{label}: median of the finished jobs")
    size = (WIDTH, min(max(3.6, 2 + 0.4 * up.count), 7.5))
    with drawing(path, title=title, size=size) as figure:
        axes = figure.add_subplot(xlabel=line(keys[0], 80), ylabel=line(keys[1], 40))
        colors = "viridis_r" if higher_is_better else "viridis"
        picture = _picture(medians, metric, columns=across.count, rows=up.count)
        image = axes.imshow(picture, aspect="auto", origin="lower", cmap=colors, vmin=0, vmax=1)
        for x, y in cells.keys() - medians.keys():  # whose jobs have all been lost
            axes.bar(x, 1, 1, y - 0.5, color=_PALE, edgecolor=_HATCH, linewidth=0, hatch="///")
        if across.count <= 10 and up.count <= 16:
            dark = {c for c in medians if (metric.at(medians[c]) > 0.5) == higher_is_better}
            for cell, jobs in cells.items():
                text = _words(jobs, medians.get(cell))
                color = "white" if cell in dark else "black"
                axes.text(*cell, text, color=color, fontsize=9, ha="center", va="center")
        _ticks(axes, across, up)
        bar = figure.colorbar(image, ax=axes, label=line(label, 40))
        marks = thinned(metric.ticks, 0.04)
        bar.set_ticks([place for place, _ in marks], labels=[text for _, text in marks])


def _medians(cells: Mapping[Cell, Sequence[Outcome]]) -> dict[Cell, float]:
    values = {cell: [one.value for one in jobs if one.is_scored] for cell, jobs in cells.items()}
    return {cell: median(found) for cell, found in values.items() if found}


def _picture(
    medians: Mapping[Cell, float], metric: Scale, *, columns: int, rows: int
) -> list[list[float]]:
    """Return each cell's place on the metric's axis, NaN where it has none."""
    picture = [[math.nan] * columns for _ in range(rows)]
    for (x, y), value in medians.items():
        picture[y][x] = metric.at(value)
    return picture


def _words(jobs: Sequence[Outcome], middle: float | None) -> str:
    """Return a cell's median, or how its jobs were lost, and how many where not all were."""
    if middle is None:
        (ending, _), *_ = Counter(one.ending for one in jobs).most_common(1)
        return line(ending, 10)
    scored = sum(one.is_scored for one in jobs)
    return written(middle) + (f"\n{scored} of {len(jobs)}" if scored < len(jobs) else "")


def _ticks(axes: "Axes", across: _Side, up: _Side) -> None:
    """Write values beside their cells."""
    gaps = (across.count / 45, across.count / 70)
    mark_columns(axes, list(across.ticks()), room=70, gaps=gaps)
    rows = thinned(up.ticks(), up.count / 30)
    axes.set_yticks([place for place, _ in rows], labels=[line(label, 18) for _, label in rows])
    axes.set(xlim=(-0.5, across.count - 0.5), ylim=(-0.5, up.count - 0.5))
