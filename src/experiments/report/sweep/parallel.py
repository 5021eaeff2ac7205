"""A sweep as parallel coordinates: a page with an axis for each setting and a line for each job.

The page needs no network and no library, and names in it are text and never markup.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from experiments.report.sweep.outcomes import Outcome, is_drawn, lost_rows, short_names, swept
from experiments.report.sweep.scales import Kind, Scale, Tick, thinned, written
from experiments.text import shortened

# Around the drawing: its style, and what makes it answer.
_PAGE = Path(__file__).with_suffix(".html")
_FIELD = re.compile(r"{{(\w+)}}")
_WIDTH, _HEIGHT = 640, 340  # pixels: of the page at least, and of an axis from 0 to 1
_LEFT, _RIGHT, _GAP = 100, 130, 120  # beside the axes, and between two of them at least
# Viridis from its dark end, which stands for the best, to where it is still seen on white.
_COLORS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (189, 223, 38))
_GREY = "#8a8a8a"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    """An axis: its name short and in full, its scale, its ticks, and each job's place, 0 to 1."""

    name: str
    full: str
    kind: Kind
    ticks: Sequence[Tick]
    places: Sequence[float]


def page(outcomes: Sequence[Outcome], *, label: str, higher_is_better: bool) -> str:
    """Return the page; pointing at a line names its settings, dragging on axes selects lines."""
    scored = [one.value for one in outcomes if one.is_scored]
    metric = Scale.of_metric(scored, higher_is_better=higher_is_better)
    rows = lost_rows(outcomes, higher_is_better=higher_is_better)

    def goodness(one: Outcome) -> float:
        place = metric.at(one.value) if one.is_scored else -math.inf
        return place if higher_is_better or not one.is_scored else 1 - place

    jobs = sorted(outcomes, key=goodness)  # the best are drawn last, above all others
    axes = [
        *_setting_axes(jobs, swept(outcomes)),
        _metric_axis(jobs, label, metric=metric, rows=rows),
    ]
    gap = max(_GAP, (_WIDTH - _LEFT - _RIGHT) / (len(axes) - 1))
    xs = [_LEFT + gap * i for i in range(len(axes))]
    lines = [
        _line(job, list(zip(xs, places, strict=True)), label=label, color=_color(goodness(job)))
        for job, places in zip(jobs, zip(*(axis.places for axis in axes), strict=True), strict=True)
    ]
    drawing = _drawing(axes, xs, lines, _bar(xs[-1], higher_is_better=higher_is_better))
    legend = f"A line is a job, the darker the better its {_text(label, 80)}"
    lost = Counter(one.ending for one in outcomes if not one.is_scored)
    if lost:
        counts = ", ".join(f"{lost[name]:,} {_text(name, 30)}" for name in rows)
        legend += f"; a grey dashed line is one without a result ({counts})"
    title = f"{_text(label, 80)} by settings"
    # All of them are markup, in which names are escaped.
    texts = {"drawing": drawing, "title": title, "legend": legend, "count": str(len(jobs))}
    return _FIELD.sub(lambda field: texts[field[1]], _PAGE.read_text(encoding="utf-8"))


def _setting_axes(jobs: Sequence[Outcome], keys: Sequence[str]) -> Iterator[_Axis]:
    """Yield an axis for each swept setting, or for what repetitions differ in if there is none."""
    keys = keys or list(dict.fromkeys(key for job in jobs for key in job.repeat)) or ["job"]
    names = short_names(keys)
    for key in keys:
        values = [(job.settings | job.repeat).get(key, "") for job in jobs]
        scale = Scale.of_setting(values)
        name = names.get(key, key)
        places = [scale.place(value) for value in values]
        yield _Axis(name=name, full=key, kind=scale.kind, ticks=scale.ticks, places=places)


def _metric_axis(
    jobs: Sequence[Outcome], label: str, *, metric: Scale, rows: Mapping[str, float]
) -> _Axis:
    """Return the last axis: the metric's values and, beyond the worst, how jobs were lost."""
    ticks = [*metric.ticks, *((row, name) for name, row in rows.items())]
    places = [metric.at(job.value) if job.is_scored else rows[job.ending] for job in jobs]
    return _Axis(name=label, full=label, kind=metric.kind, ticks=ticks, places=places)


def _drawing(axes: Sequence[_Axis], xs: Sequence[float], lines: Sequence[str], bar: str) -> str:
    """Return the SVG: lines below, then the line that is pointed at, then the axes."""
    ticks = [place for axis in axes for place, _ in axis.ticks]
    top, bottom = _y(max([1.0, *ticks])) - 58, _y(min([0.0, *ticks])) + 20
    width, height = xs[-1] + _RIGHT, bottom - top
    least = 0.8 * width  # where text is still read; a narrower page is scrolled
    few = len(lines) <= 100
    look = f'stroke-width="{1.8 if few else 1.1}"'
    look += f' stroke-opacity="{min(0.85, max(0.2, 8 / math.sqrt(len(lines) + 1))):.2f}"'
    groups = [
        _group(axis, x, ends=(top + 40, bottom - 8), is_last=x == xs[-1], room=xs[-1] - xs[-2])
        for axis, x in zip(axes, xs, strict=True)
    ]
    return "\n".join(
        [
            f'<svg viewBox="0 {top:.0f} {width:.0f} {height:.0f}" preserveAspectRatio="xMidYMin"',
            f' style="min-width:{least:.0f}px; max-width:{1.6 * width:.0f}px">',
            f"<g {look}>",
            *lines,
            '</g><polyline id="top"/>',
            bar,
            *groups,
            "</svg>",
        ]
    )


def _line(job: Outcome, points: Sequence[tuple[float, float]], *, label: str, color: str) -> str:
    """Return a job's line, and what is read where it is pointed at."""
    value = f"{label} = {written(job.value)}" if is_drawn(job.value) else ""
    facts = [value] if job.is_scored else [job.ending, value and f"{value} at best"]
    facts += [f"{key} = {value}" for key, value in (job.settings | job.repeat).items()]
    text = "&#10;".join(_text(fact, 160) for fact in facts if fact)
    kind = "job" if job.is_scored else "job lost"
    pairs = " ".join(f"{x:.1f},{_y(place):.1f}" for x, place in points)
    return f'<polyline class="{kind}" stroke="{color}" points="{pairs}" data-text="{text}"/>'


def _group(axis: _Axis, x: float, *, ends: tuple[float, float], is_last: bool, room: float) -> str:
    """Return an axis with its name and ticks, and the area in which it can be dragged along."""
    side, anchor = (16, "start") if is_last else (-8, "end")
    marks = "".join(
        f'<line x1="{x - 4:.1f}" x2="{x:.1f}" y1="{_y(place):.1f}" y2="{_y(place):.1f}"/>'
        f'<text x="{x + side:.1f}" y="{_y(place) + 4:.1f}" text-anchor="{anchor}">'
        f"{_text(label, 14)}</text>"
        for place, label in thinned(axis.ticks, 0.045)
    )
    note = "log scale" if axis.kind == "log" else ""
    area = f'x="{x - 14:.1f}" width="28"'
    return (
        f'<g class="axis" data-x="{x:.1f}"><title>{_text(axis.full, 400)}</title>'
        f'<rect class="hit" {area} y="{ends[0]:.1f}" height="{ends[1] - ends[0]:.1f}"/>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(1)}" y2="{_y(0)}"/>{marks}'
        f'<text class="name" x="{x:.1f}" y="{ends[0] - 22:.1f}">{_tail(axis.name, room)}</text>'
        f'<text class="note" x="{x:.1f}" y="{ends[0] - 8:.1f}">{note}</text>'
        f'<rect class="brush" {area} height="0"/></g>'
    )


def _bar(x: float, *, higher_is_better: bool) -> str:
    """Return the colours of the lines along the metric's axis."""
    colors = _COLORS if higher_is_better else _COLORS[::-1]
    stops = "".join(
        f'<stop offset="{i / (len(colors) - 1)}" stop-color="rgb{color}"/>'
        for i, color in enumerate(colors)
    )
    return (
        f'<linearGradient id="colors" x1="0" x2="0" y1="0" y2="1">{stops}</linearGradient>'
        f'<rect x="{x + 2:.1f}" y="{_y(1)}" width="9" height="{_HEIGHT}" fill="url(#colors)"/>'
    )


def _color(goodness: float) -> str:
    """Return the colour of a job: between the scale's, or grey for one that was lost."""
    if goodness < 0:
        return _GREY
    place = (1 - goodness) * (len(_COLORS) - 1)
    i = min(int(place), len(_COLORS) - 2)
    pairs = zip(_COLORS[i], _COLORS[i + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - i)):02x}" for a, b in pairs)


def _y(place: float) -> float:
    return (1 - place) * _HEIGHT


def _tail(name: str, room: float) -> str:
    """Return the end of a name, which tells more than its start, where all of it has no room."""
    most = int(room / 8) - 1
    return _text(name if len(name) <= most else f"…{name[-most:]}", 200)


def _text(text: str, most: int) -> str:
    """Return a name as markup, in one line of at most so many characters, all of which print."""
    plain = shortened(text)
    return escape(plain if len(plain) <= most else f"{plain[: most - 1]}…")
