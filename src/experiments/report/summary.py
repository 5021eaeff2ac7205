"""What a run shows of itself: a table of its tensors, its figures, and its description."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments.plugin.spec import Task
from experiments.report import figures
from experiments.report.tables import markdown_table, tensor_table, text_table
from experiments.training.evaluation import outputs_of, predict_item
from experiments.training.history import History
from experiments.training.session import Session

SAMPLES = 16
_DARK = 64  # of the 255 of a byte: a picture that goes no further shows next to nothing
PICTURE = 3  # the rank of an image: channels, height, width


def tensors(session: Session) -> str:
    """Return a table of the input batch, every parameter and the output, before training."""
    inputs, targets = session.batches["train"].first(session.experiment.batch_size)
    session.model.train(False)
    with torch.no_grad():
        outputs = session.model(session.params.tensors, inputs)
    session.model.train()
    return tensor_table(
        {"inputs": inputs, "targets": targets, **session.params.tensors, "outputs": outputs}
    )


def draw(session: Session, history: History, folder: Path) -> Iterator[str]:
    """Draw a run's figures into a folder, and yield their names."""
    folder.mkdir(exist_ok=True)
    for name, series in _curves(history).items():
        title = f"{name.capitalize()} over steps"
        figures.curves(folder / f"{name}.png", series, title=title, ylabel=name)
        yield f"{name}.png"
    spec = session.splits.spec
    outputs, targets = outputs_of(session.model, session.params.tensors, session.batches["test"])
    if spec.task is Task.classification:
        matrix = figures.confusion_matrix(outputs.argmax(-1), targets, len(spec.classes))
        figures.confusion(folder / "confusion_matrix.png", matrix, classes=spec.classes)
        yield "confusion_matrix.png"
    else:
        figures.regression(folder / "predictions.png", outputs, targets=targets)
        yield "predictions.png"
    if len(spec.input_shape) == PICTURE and spec.task is Task.classification:
        yield from _pictures(session, folder)


def metrics_table(metrics: Mapping[str, float], *, markdown: bool = False) -> str:
    """Return metrics named part/metric or part/split/metric, one part a column."""
    cells: dict[str, dict[str, str]] = {}
    for name, value in metrics.items():
        part, _, metric = name.partition("/")
        cells.setdefault(metric.removeprefix("val/"), {})[part] = f"{value:.4f}"
    parts = list(dict.fromkeys(name.partition("/")[0] for name in metrics))
    rows = [[name, *(row.get(part, "") for part in parts)] for name, row in cells.items()]
    return (markdown_table if markdown else text_table)(["metric", *parts], rows)


def _curves(history: History) -> dict[str, figures.Series]:
    """Group curves such as train/loss and val/loss by what they measure."""
    groups: dict[str, dict[str, figures.Points]] = {}
    for name, points in history.curves.items():
        groups.setdefault(name.rpartition("/")[2], {})[name] = points
    return dict(groups)


def _pictures(session: Session, folder: Path) -> Iterator[str]:
    spec, params = session.splits.spec, session.params.tensors
    inputs, targets = session.batches["test"].first(SAMPLES)
    preds = [predict_item(session.model, params, item).argmax().cpu() for item in inputs]
    figures.predictions(
        folder / "samples.png",
        _stored(session, len(inputs)),
        targets=targets.cpu(),
        preds=torch.stack(preds),
        classes=spec.classes,
    )
    yield "samples.png"
    flat = (spec.features, spec.outputs)
    direct = next((p for p in params.values() if tuple(p.shape) in (flat, flat[::-1])), None)
    if direct is not None:
        weights = direct if tuple(direct.shape) == flat else direct.T
        figures.weight_images(
            folder / "weights.png", weights, shape=spec.input_shape, classes=spec.classes
        )
        yield "weights.png"


def _stored(session: Session, count: int) -> Tensor:
    items = session.splits.test
    if isinstance(items, TensorDataset):
        stored = items.tensors[0]
        # Bytes that leave most of their range unused, as digits' 0 to 16, would be drawn as black.
        return stored[:count].float() if stored.max() < _DARK else stored[:count]
    return torch.stack([torch.as_tensor(items[i][0]) for i in range(count)])
