"""A scale's ticks on matplotlib's axes, and names as they stand in a figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from experiments.report.figures import fitted
from experiments.report.sweep.scales import Scale, Tick, thinned
from experiments.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 18  # characters of a tick's label


def metric_axis(axes: "Axes", metric: Scale, rows: Mapping[str, float]) -> None:
    """Mark values along the y axis, and beyond them the ways to end without one."""
    ticks = [*thinned(metric.ticks, 0.04), *((row, line(name, 12)) for name, row in rows.items())]
    places = [place for place, _ in ticks]
    axes.set_yticks(places, labels=[label for _, label in ticks])
    axes.set_yticks(metric.minor(), minor=True)
    axes.set_ylim(min([0, *places]) - 0.05, max([1, *places]) + 0.05)
    axes.grid(axis="y")
    if rows:
        axes.axhline(1.04 if min(rows.values()) > 0 else -0.04, color="#999999", linewidth=0.8)


def setting_axis(axes: "Axes", scale: Scale) -> None:
    """Mark values along the x axis, upright where they are many or long."""
    mark_columns(axes, scale.ticks, room=80, gaps=(0.022, 0.011))
    axes.set_xticks(scale.minor(), minor=True)
    left = min([0, *(place for place, _ in scale.ticks)])
    edge = 0.5 / max(1, len(scale.values) - 1) if scale.kind == "text" else 0.04
    axes.set_xlim(left - edge, 1 + edge)


def mark_columns(
    axes: "Axes", ticks: Sequence[Tick], *, room: int, gaps: tuple[float, float]
) -> None:
    """Mark the ticks along the x axis that leave `gaps`, of upright labels and of a character.

    Labels are upright where all of them are more than `room` characters.
    """
    length = max((min(len(label), _LONGEST) for _, label in ticks), default=0)
    upright = len(ticks) * length > room
    kept = thinned(ticks, gaps[0] if upright else gaps[1] * (length + 1))
    labels = [line(label, _LONGEST) for _, label in kept]
    axes.set_xticks([place for place, _ in kept], labels=labels, rotation=90 if upright else 0)


def line(text: str, width: int) -> str:
    """Return a name in one line of characters that print, which is no formula."""
    return fitted(shortened(text), width)
