"""What was measured of a run's steps, layer by layer: one table, and one figure."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.report import figures
from experiments.report.sweep.outcomes import LARGEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of each step that was measured: a layer's name to what was measured, by name; the first layer is
# the whole model.
Measurements = Mapping[int, Mapping[str, Mapping[str, float]]]

# What is drawn, as what, and whether along a logarithmic axis.
_PANELS = (
    ("norm/params", "length of the parameters", True),
    ("norm/gradient", "length of the gradient", True),
    ("norm/update", "length of the update", True),
    ("update_ratio", "update / parameters", True),
    ("effective_lr_q50", "|update| / |gradient|, median", True),
    ("cosine_update", "cos(update, gradient)", False),
    ("cosine_gradients", "cos(gradient, last gradient)", False),
    ("noise_scale", "gradient noise scale, items", True),
    ("sharpness", "sharpness; dashed: 2 / lr", True),
)
_COLUMNS = 3
_HUES = figures.PALETTE[:-1]  # the last, black, is the whole model's
_POINTS = 400  # drawn of a curve
_WIDE = 5  # the span from which on a logarithmic axis has a tick or more
_TICKS = 24  # layers named beside a scale of colours


def layers_table(steps: Measurements) -> str:
    """Return a row a step and layer as CSV, with empty cells for what is not of a layer."""
    rows = [(t, name, own) for t, layers in steps.items() for name, own in layers.items()]
    names = list(dict.fromkeys(name for _, _, own in rows for name in own))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "layer", *names])
    for t, layer, own in rows:
        cells = (f"{own[name]:.7g}" if name in own else "" for name in names)
        writer.writerow([t, layer, *cells])
    return text.getvalue()


def layers_chart(path: Path, steps: Measurements) -> None:
    """Draw a panel for each quantity, with a line a layer and one, black, of the whole model."""
    whole, *layers = next(iter(steps.values()))
    first = next(iter(steps.values()))[whole]
    panels = [panel for panel in _PANELS if panel[0] in first]
    rows = math.ceil(len(panels) / _COLUMNS)
    every = math.ceil(len(steps) / _POINTS)
    title = "Diagnostics" + (f": one measurement of {every}" if every > 1 else "")
    with figures.drawing(path, title=title, size=(figures.WIDTH, 1 + 2.2 * rows)) as figure:
        looks = dict(_looks(layers)) | {whole: {"color": "black", "linewidth": 1.5, "zorder": 3}}
        shown = {t: steps[t] for t in sorted(steps)[::every]}
        for place, (name, label, log) in enumerate(panels, start=1):
            shared = figure.axes[0] if figure.axes else None
            axes = figure.add_subplot(rows, _COLUMNS, place, sharex=shared)
            drawn = [
                value
                for layer, look in looks.items()
                for value in _line(axes, shown, layer, name, log=log, **look)
            ]
            if name == "sharpness":
                edge = {"color": "black", "linestyle": "--"}
                drawn += _line(axes, shown, whole, "two_over_lr", log=log, **edge)
            if name.startswith("effective"):
                _band(axes, shown, whole)
            _dress(axes, label, drawn, log=log, last=place > len(panels) - _COLUMNS)
        _explain(figure, layers, whole)


def _looks(layers: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the look of each layer's line: colours that differ, or of many a scale by depth."""
    import matplotlib as mpl

    scale = mpl.colormaps["viridis"]
    for n, layer in enumerate(layers):
        few = len(layers) <= len(_HUES)
        color = _HUES[n] if few else scale(n / (len(layers) - 1))
        yield layer, {"color": color, "linewidth": 1.2 if few else 0.8}


def _line(
    axes: "Axes", steps: Measurements, layer: str, name: str, *, log: bool, **look: Any
) -> list[float]:
    """Draw a line and return its values; gaps are undefined, and crosses lengths not finite."""
    points = [(t, layers[layer][name]) for t, layers in steps.items() if name in layers[layer]]
    drawn = [value if _is_drawn(value, log=log) else math.nan for _, value in points]
    marker = "." if len(points) <= 12 else ""
    axes.plot([t for t, _ in points], drawn, label=layer, marker=marker, markersize=4, **look)
    lost = [t for t, value in points if name.startswith("norm/") and not math.isfinite(value)]
    if lost:
        look |= {"linestyle": "", "marker": "x", "markersize": 4}
        axes.plot(lost, [0.97] * len(lost), transform=axes.get_xaxis_transform(), **look)
    return [value for value in drawn if not math.isnan(value)]


def _band(axes: "Axes", steps: Measurements, whole: str) -> None:
    """Shade between the quantiles of the whole model."""
    ends = [
        [layers[whole][f"effective_lr_{q}"] for layers in steps.values()] for q in ("q05", "q95")
    ]
    low, high = ([v if _is_drawn(v, log=True) else math.nan for v in values] for values in ends)
    axes.fill_between(list(steps), low, high, color="black", alpha=0.12, linewidth=0)


def _is_drawn(value: float, *, log: bool) -> bool:
    return 1 / LARGEST <= value <= LARGEST if log else abs(value) <= LARGEST


def _dress(axes: "Axes", label: str, drawn: Sequence[float], *, log: bool, last: bool) -> None:
    axes.set_title(label, fontsize=9, loc="left")
    axes.set_xlabel("step" if last else "", fontsize=9)
    axes.margins(x=0.02)
    axes.locator_params(axis="x", integer=True, nbins=4)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    low, high = min(drawn, default=0.0), max(drawn, default=0.0)
    if not log:
        axes.set_ylim(-1.05, 1.05)
    elif high > _WIDE * low:
        axes.set_yscale("log")
    elif high > 0:
        axes.set_ylim(min(low, 0.9 * high), 1.1 * high)  # what is constant is seen to be
    axes.tick_params(which="both", labelsize=8)
    axes.grid(axis="y")


def _explain(figure: "Figure", layers: Sequence[str], whole: str) -> None:
    """Say which line is whose, outside of the panels."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    handles, labels = figure.axes[0].get_legend_handles_labels()
    if len(layers) <= len(_HUES):
        names = [figures.fitted(label, 40) for label in labels]
        figure.legend(handles, names, loc="outside lower left", ncols=3, fontsize=8)
        return
    ticks = range(0, len(layers), math.ceil(len(layers) / _TICKS))
    scale = ScalarMappable(Normalize(0, len(layers) - 1), "viridis")
    bar = figure.colorbar(scale, ax=figure.axes, aspect=60, pad=0.02)
    bar.set_ticks(list(ticks), labels=[figures.fitted(layers[n], 24) for n in ticks], fontsize=7)
    bar.ax.invert_yaxis()  # the first layer at the top
    figure.legend(handles[-1:], [figures.fitted(whole, 40)], loc="outside lower left", fontsize=8)
