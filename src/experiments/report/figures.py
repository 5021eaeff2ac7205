"""The figures of a run and of a sweep, each one PNG; the only module that imports matplotlib."""

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Names = Sequence[str]
Points = Sequence[tuple[int, float]]
Series = Mapping[str, Points]
Tile = tuple[Tensor, str, str]  # a picture [H, W] or [H, W, 3], its caption, the caption's colour

# Okabe & Ito (2008): told apart with every common kind of colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_BLUE, _RED, _PALE = *PALETTE[:2], "#A6C8E0"
_STYLE: Any = {
    "figure.constrained_layout.h_pad": 0.07,
    "figure.constrained_layout.w_pad": 0.07,
    "axes.edgecolor": "#999999",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
}
WIDTH, _DPI = 8.0, 150  # inches, and dots per inch: 1200 pixels
_LARGEST = 1e250  # a value drawn; the axis' margin beyond it must still be a float64


def step_chart(path: Path, series: Series, *, title: str, ylabel: str, log_y: bool = False) -> None:
    """Draw values over steps; crosses at the top edge stand for values that are not finite."""
    looks = cycle(product(("-", "--", ":"), PALETTE))
    values = [value for points in series.values() for _, value in points]
    positive = any(1 / _LARGEST <= value < math.inf for value in values)
    with drawing(path, title=title, size=(WIDTH, 4.8)) as figure:
        axes = figure.add_subplot(xlabel="step", ylabel=ylabel)
        for (name, points), (line, color) in zip(series.items(), looks, strict=False):
            _curve(axes, points, label=fitted(name, 36), color=color, linestyle=line)
        axes.set(xlim=(0, None), yscale="log" if log_y and positive else "linear")
        axes.locator_params(axis="x", integer=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y")
        axes.legend(*axes.get_legend_handles_labels(), loc=(0, 1.02), ncols=2)


def confusion_matrix(preds: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Count the pairs of preds [N] (columns) and targets [N] (rows) in a matrix [C, C]."""
    pairs = targets.cpu().long() * classes + preds.cpu().long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def confusion(path: Path, matrix: Tensor, *, classes: Names) -> None:
    """Draw counts [C, C], rows targets and columns predictions, coloured by share of the row."""
    counts = matrix.cpu().double()
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    right, total = counts.trace().item(), counts.sum().item()
    title = f"Confusion matrix: {right:,.0f} of {total:,.0f} right ({right / max(total, 1):.1%})"
    with drawing(path, title=title, size=(WIDTH, 7)) as figure:
        axes = figure.add_subplot(xlabel="prediction", ylabel="target")
        # The colour goes by the share's root, so rare mistakes are seen beside a dark diagonal.
        image = axes.imshow(shares.sqrt().numpy(), cmap="Blues", vmin=0, vmax=1)
        names, small = [fitted(name, 18) for name in classes], max(6, min(10, 160 // len(classes)))
        shown = slice(None, None, math.ceil(len(names) / 50))  # at most 50 of them
        places, labels = range(len(names))[shown], names[shown]
        axes.set_yticks(places, labels=labels, fontsize=small)
        turn = 90 if len("".join(names)) > 40 else 0
        axes.set_xticks(places, labels=labels, fontsize=small, rotation=turn)
        for row, column in counts.nonzero().tolist() if len(classes) <= 20 else []:
            color = "white" if shares[row, column] > 0.42 else "black"
            text, size = f"{counts[row, column]:.0f}", min(10, 130 / len(classes))
            axes.text(column, row, text, color=color, fontsize=size, ha="center", va="center")
        bar = figure.colorbar(image, ax=axes, shrink=0.6, label="share of the target's items")
        marks = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
        bar.set_ticks([math.sqrt(mark) for mark in marks], labels=[f"{x:.0%}" for x in marks])


def samples(
    path: Path, images: Tensor, *, targets: Tensor, preds: Tensor | None, classes: Names
) -> None:
    """Draw images [N, C, H, W] as stored, with their targets [N] and, where given, preds [N]."""
    truth, tiles = targets.tolist(), []
    guesses = truth if preds is None else preds.tolist()
    for item, target, guess in zip(_unit_range(images), truth, guesses, strict=True):
        # Matplotlib wants channels last; what has not three of them is shown in grey.
        picture = item.permute(1, 2, 0) if len(item) == 3 else item.mean(0)
        mark = f"\n{'✓' if guess == target else '✗'} {fitted(classes[guess], 13)}"
        caption = fitted(classes[target], 15) + ("" if preds is None else mark)
        tiles.append((picture, caption, "black" if guess == target else _RED))
    title = "Samples" if preds is None else "Samples: target above prediction"
    _tiles(path, tiles, title=title, cmap="gray", vmin=0, vmax=1)


def weight_images(path: Path, weights: Tensor, *, shape: Sequence[int], classes: Names) -> None:
    """Draw weights, [features, classes] or [classes, *shape], a tile a class, channels averaged."""
    stack = weights.T if weights.shape == (math.prod(shape), len(classes)) else weights
    stack = stack.detach().cpu().double().reshape(len(classes), -1, *shape[-2:]).mean(1)
    end = stack.nan_to_num(0, 0, 0).abs().max().item() or 1.0
    tiles = [(one, fitted(name, 15), "black") for one, name in zip(stack, classes, strict=True)]
    _tiles(path, tiles, title="Weights", bar="weight", cmap="RdBu_r", vmin=-end, vmax=end)


def regression(path: Path, preds: Tensor, *, targets: Tensor) -> None:
    """Draw preds [N] over targets [N], and the line on which they agree."""
    pairs = torch.stack([targets.detach().flatten(), preds.detach().flatten()]).cpu().double()
    truth, guesses = pairs[:, pairs.isfinite().all(0)]
    error, area = (guesses - truth).abs().mean(), min(18, 1 + 2e4 / (len(truth) + 1))
    title = f"Predicted and true values: N = {len(truth):,}, mean absolute error {error:.4g}"
    with drawing(path, title=title, size=(7, 7)) as figure:
        axes = figure.add_subplot(xlabel="true value", ylabel="prediction", aspect="equal")
        axes.scatter(truth.numpy(), guesses.numpy(), s=area, color=_BLUE, alpha=0.6, linewidth=0)
        limits = [end(*axes.get_xlim(), *axes.get_ylim()) for end in (min, max)]
        axes.set(xlim=limits, ylim=limits)
        axes.plot(limits, limits, color=_RED, linestyle="--", label="prediction = true value")
        axes.legend(loc="upper left")


def leaderboard_bars(path: Path, rows: Sequence[tuple[str, float]], *, ylabel: str) -> None:
    """Draw the first 30 rows (name, value), sorted best first; a far too long bar is cut."""
    names, values = [fitted(name, 48) for name, _ in rows[:30]], [value for _, value in rows[:30]]
    sizes = sorted(abs(value) for value in values if math.isfinite(value)) or [0.0]
    end = min(10 * sizes[(len(sizes) - 1) // 2], sizes[-1])  # ten times the median
    labels = [f"{x:.4g}{' (cut)' if end < abs(x) < math.inf else ''}" for x in values]
    lengths = [0.0 if math.isnan(x) else max(-end, min(end, x)) for x in values]
    title, size = f"Best {len(names)} of {len(rows)} by {ylabel}", (WIDTH, 1.2 + 0.26 * len(names))
    with drawing(path, title=title, size=size) as figure:
        axes = figure.add_subplot(xlabel=ylabel, xmargin=0.16, ylim=(len(names) - 0.4, -0.6))
        bars = axes.barh(range(len(names)), lengths, color=[_BLUE, *[_PALE] * 29])
        axes.bar_label(bars, labels=labels, padding=3, fontsize=9)
        axes.set_yticks(range(len(names)), labels=names)


@contextmanager
def drawing(path: Path, *, title: str, size: tuple[float, float]) -> "Iterator[Figure]":
    """Lend an empty figure of `size` inches, without pyplot's global state, and save it as PNG."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # silent on building its font cache
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # in a name: a box is drawn
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(fitted(title, 90), x=0.01, ha="left", fontsize=12, weight="bold")
        yield figure
        figure.savefig(path, format="png", dpi=_DPI, facecolor="white")


def _tiles(path: Path, tiles: Sequence[Tile], *, title: str, bar: str = "", **look: Any) -> None:
    """Draw pictures in rows of at most 8, or of 10 where there are many; frame the coloured."""
    rows = math.ceil(len(tiles) / (8 if len(tiles) <= 40 else 10))
    columns = math.ceil(len(tiles) / rows)
    edge = WIDTH / max(columns, 5)
    size = (max(columns * edge, 5.5), 0.8 + rows * (edge + 0.3))
    with drawing(path, title=title, size=size) as figure:
        for i, (picture, caption, color) in enumerate(tiles):
            axes = figure.add_subplot(rows, columns, i + 1, xticks=[], yticks=[])
            image = axes.imshow(picture.numpy(), **look)
            axes.set_title(caption, color=color, fontsize=min(10, 64 / columns))
            axes.spines[:].set(visible=color != "black", color=color, linewidth=2)
        if bar:
            figure.colorbar(image, ax=figure.axes, label=bar, location="bottom", aspect=60)


def _curve(axes: "Axes", points: Points, *, label: str, **look: Any) -> None:
    """Draw one series in a look, a colour and a line style: a long one pale under its mean."""
    xy = torch.tensor(points, dtype=torch.float64).reshape(-1, 2).T
    lost = xy[0, ~xy[1].isfinite()].tolist()
    xy = xy.where(xy.isfinite(), math.nan).clamp(-_LARGEST, _LARGEST)
    xy = xy.masked_fill(xy.abs() < 1 / _LARGEST, 0)
    if len(points) > 200:
        axes.plot(*xy.numpy(), **look, linewidth=0.6, alpha=0.3)
        width = len(points) // 40
        xy = xy.unfold(1, width, max(1, width // 10)).mean(2)
        label += f" (mean of {width} points)"
    axes.plot(*xy.numpy(), **look, label=label, marker="." if len(points) <= 60 else "")
    if lost:
        look |= {"linestyle": "", "marker": "x", "label": f"{len(lost):,} values not finite"}
        axes.plot(lost, [0.98] * len(lost), **look, transform=axes.get_xaxis_transform())


def _unit_range(images: Tensor) -> Tensor:
    """Return images in 0 to 1: bytes over 255, and others between the extremes of them all."""
    pixels = images.detach().cpu().double().nan_to_num(0, 0, 0)
    low, high = (0, 255) if images.dtype == torch.uint8 else pixels.aminmax()
    return (pixels - low) / max(high - low, 1e-12)


def fitted(text: str, width: int) -> str:
    """Return text of at most `width` characters that matplotlib does not take for a formula."""
    return (text if len(text) <= width else f"{text[: width - 1]}…").replace("$", r"\$")
