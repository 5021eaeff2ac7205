"""What a run shows of itself: a table of its metrics, and its figures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from experiments.plugin.spec import DataSpec, Splits, Task, Tensors
from experiments.report import figures
from experiments.report.tables import markdown_table, text_table
from experiments.text import rounded

_PICTURE = 3  # the rank of an image: channels, height, width


def data_line(splits: Splits) -> str:
    """Say how many items there are, of what, and why the task is what it is."""
    sizes = ", ".join(f"{len(items):,} {name}" for name, items in splits.parts.items())  # type: ignore[arg-type]
    spec = splits.spec
    task = f"{spec.task.name} of {max(len(spec.classes), spec.outputs)}"
    task += " classes" if spec.classes else " targets" if spec.targets else " target"
    if spec.task is Task.regression and torch.as_tensor(spec.target_std != 1).any():
        task += ", standardised in losses alone"
    reason = f" ({splits.reason.rstrip('.')})" if splits.reason else ""
    return f"{sizes} items; inputs {list(spec.input_shape)}; {task}{reason}"


def metrics_table(metrics: Mapping[str, float], *, markdown: bool = False) -> str:
    """Return metrics named part/metric or part/split/metric, one part a column."""
    cells: dict[str, dict[str, str]] = {}
    for name, value in metrics.items():
        part, _, metric = name.partition("/")
        cells.setdefault(metric.removeprefix("val/"), {})[part] = rounded(value)
    parts = list(dict.fromkeys(name.partition("/")[0] for name in metrics))
    rows = [[name, *(row.get(part, "") for part in parts)] for name, row in cells.items()]
    return (markdown_table if markdown else text_table)(["metric", *parts], rows)


def curves(folder: Path, series: Mapping[str, Sequence[tuple[int, float]]]) -> Iterator[str]:
    """Draw curves, those such as train/loss and val/loss in one figure, and yield its name."""
    groups: dict[str, dict[str, figures.Points]] = {}
    for name, points in series.items():
        groups.setdefault(name.rpartition("/")[2], {})[name] = points
    for name, group in groups.items():
        title = f"{name.capitalize()} over steps"
        figures.step_chart(folder / f"{name}.png", group, title=title, ylabel=name)
        yield f"{name}.png"


def predictions(folder: Path, outputs: Tensor, targets: Tensor, spec: DataSpec) -> Iterator[str]:
    """Draw outputs [N, ...] against targets [N], and yield the figure's name."""
    if spec.task is Task.classification:
        matrix = figures.confusion_matrix(outputs.argmax(-1), targets, len(spec.classes))
        figures.confusion(folder / "confusion_matrix.png", matrix, classes=spec.classes)
        yield "confusion_matrix.png"
    else:
        figures.regression(folder / "predictions.png", outputs, targets=targets)
        yield "predictions.png"


def has_pictures(spec: DataSpec) -> bool:
    """Say whether the items are images of classes."""
    return len(spec.input_shape) == _PICTURE and spec.task is Task.classification


def pictures(
    folder: Path, items: Tensor, targets: Tensor, preds: Tensor, spec: DataSpec
) -> Iterator[str]:
    """Draw images with what they are and are taken for, and yield the figure's name."""
    figures.samples(
        folder / "samples.png", items, targets=targets, preds=preds, classes=spec.classes
    )
    yield "samples.png"


def weights(folder: Path, params: Tensors, spec: DataSpec) -> Iterator[str]:
    """Draw the weights that lead from an image to each class, where there are some."""
    flat = (spec.features, spec.outputs)
    direct = next((p for p in params.values() if tuple(p.shape) in (flat, flat[::-1])), None)
    if direct is not None:
        rows = direct if tuple(direct.shape) == flat else direct.T
        figures.weight_images(
            folder / "weights.png", rows, shape=spec.input_shape, classes=spec.classes
        )
        yield "weights.png"
