"""What a run leaves beside its numbers: where it comes from, how it ended, figures and a page."""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments.errors import DivergedError
from experiments.plugin import description
from experiments.plugin.spec import Task
from experiments.process.secrecy import clean
from experiments.report import summary
from experiments.report.tables import markdown_table, tensor_table
from experiments.runs import code, provenance
from experiments.runs.result import FILE, Result, Status
from experiments.runs.tracker import Tracker
from experiments.settings import Experiment
from experiments.text import rounded
from experiments.training import announcement, landscape
from experiments.training.diagnostics import artifacts
from experiments.training.evaluation import outputs_of, predict_item
from experiments.training.history import History
from experiments.training.session import Session

log = logging.getLogger(__name__)

_SAMPLES = 16
_DARK = 64  # of the 255 of a byte: a picture that goes no further shows next to nothing


def record_origin(
    session: Session,
    tracker: Tracker,
    log: logging.Logger,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    patch: str,
) -> None:
    """Record a run's tensors, settings, device and data, and the code beside its commit."""
    announcement.announce_data(session, log)
    table = _tensors(session)
    log.info("%s\n", table)
    if tracker.folder is None:
        return
    write(tracker, "tensors.txt", table)
    if patch:
        write(tracker, "code.patch", patch)
    write(tracker, "config.yaml", description.to_yaml(config))
    tracker.add("tags", values={"device": provenance.device_name(session.device)})
    tracker.add("dataset", **dataset)


def keep_sources(tracker: Tracker, parts: Mapping[str, Any], *, alone: bool) -> None:
    """Copy the code of all plugins of a run's parts into its folder; of jobs into their sweep's,
    which has each file once.
    """
    if tracker.folder is None:
        return
    folder = tracker.folder if alone else tracker.folder.parent
    for name in code.collect(provenance.used(parts), folder / code.SOURCES):
        if alone:
            place = code.SOURCES / name
            tracker.artifact(place.as_posix(), place.parent.as_posix())


def hand_over(
    session: Session,
    tracker: Tracker,
    log: logging.Logger,
    history: History,
    result: Result,
    start: Mapping[str, Any],
) -> None:
    """Print how a run has ended, give the tracker its files and description, and draw the figures.

    They come last, as the rest is uploaded meanwhile.
    """
    doubts = announcement.announce(session, result, history, log)
    if tracker.folder is None:
        return
    for path in sorted(tracker.folder.glob("checkpoints/*.safetensors")):
        tracker.artifact(f"checkpoints/{path.name}", "checkpoints")
    settings, alone = session.experiment.tracking, start["parent_id"] is None
    if alone if settings.model is None else settings.model:
        _add_model(tracker, session)
    write(tracker, FILE, result.to_json())
    tracker.add("tags", values={"mlflow.note.content": _note(result, start, doubts)})
    artifacts.leave(tracker, session.experiment, alone=alone)
    if alone if settings.figures is None else settings.figures:
        for name in _draw(session, history, tracker.folder / "figures"):
            tracker.artifact(f"figures/{name}", "figures")
    landscape.draw(tracker, session, alone=alone)


def record_failure(tracker: Tracker, error: Exception, own: Experiment, *, alone: bool) -> None:
    """Keep the traceback and the result of a run that an error ended, and what was measured."""
    status = Status.diverged if isinstance(error, DivergedError) else Status.failed
    result = Result(status=status, reason=str(error) or type(error).__name__)
    with suppress(Exception):  # the disk that stopped the run may be full still
        write(tracker, FILE, result.to_json())
        write(tracker, "error.txt", "".join(traceback.format_exception(error)))
        tracker.add("tags", values={"mlflow.note.content": f"**{type(error).__name__}**: {error}"})
        artifacts.leave(tracker, own, alone=alone)


def end(tracker: Tracker, log: logging.Logger, status: str) -> None:
    """Give the tracker what the run has printed, and the end."""
    if tracker.difference:
        log.warning("Done again, the run differs: %s.", tracker.difference)
        tracker.add("tags", values={"resumed.difference": tracker.difference})
    for handler in log.handlers:
        handler.flush()
    if tracker.folder is not None:
        for path in sorted(tracker.folder.glob("*.log")):
            tracker.artifact(path.name)
    tracker.add("end", status=status)
    tracker.sync()


def write(tracker: Tracker, name: str, text: str) -> None:
    """Write a text file into the run's folder, where there is one, and hand it over."""
    if tracker.folder is not None:
        (tracker.folder / name).write_text(clean(text).rstrip() + "\n", encoding="utf-8")
        tracker.artifact(name)


def _tensors(session: Session) -> str:
    """Return a table of the input batch, every parameter and the output, before training."""
    inputs, targets = session.batches["train"].first(session.experiment.batch_size)
    session.model.train(False)
    with torch.no_grad():
        outputs = session.model(session.params.tensors, inputs)
    session.model.train()
    named = {"inputs": inputs, "targets": targets, **session.params.tensors, "outputs": outputs}
    return tensor_table(named)


def _draw(session: Session, history: History, folder: Path) -> Iterator[str]:
    """Draw a run's figures into a folder, and yield their names."""
    spec, model, params = session.splits.spec, session.model, session.params.tensors
    folder.mkdir(exist_ok=True)
    yield from summary.curves(folder, history.curves)
    if spec.task is not Task.objective:  # whose outputs predict nothing
        outputs, targets = outputs_of(model, params, session.batches["test"])
        yield from summary.predictions(folder, outputs, targets, spec)
    if summary.has_pictures(spec):
        inputs, targets = session.batches["test"].first(_SAMPLES)
        preds = torch.stack([predict_item(model, params, item).argmax().cpu() for item in inputs])
        shown = _stored(session, len(inputs))
        yield from summary.pictures(folder, shown, targets.cpu(), preds, spec)
        yield from summary.weights(folder, params, spec)


def _stored(session: Session, count: int) -> Tensor:
    items = session.splits.test
    if isinstance(items, TensorDataset):
        stored = items.tensors[0]
        # Bytes that leave most of their range unused, as digits' 0 to 16, would be drawn as black.
        return stored[:count].float() if stored.max() < _DARK else stored[:count]
    return torch.stack([torch.as_tensor(items[i][0]) for i in range(count)])


def _add_model(tracker: Tracker, session: Session) -> None:
    assert tracker.folder is not None
    module = type(session.experiment.model).__module__
    if module == "__main__":
        log.info("model    not logged: its class stands in the script, and in no module of its own")
        return
    code.copy(module, tracker.folder / code.FOLDER)
    tracker.add(
        "model",
        path="checkpoints/best.safetensors",
        input_shape=session.splits.spec.input_shape,
        outputs=session.splits.spec.outputs,
        module=module,
        code=code.FOLDER,
    )


def _note(result: Result, start: Mapping[str, Any], doubts: Sequence[str]) -> str:
    rows = [[name, str(value)] for name, value in start["params"].items() if "." not in name]
    return "\n\n".join(
        [
            f"**{result.monitor} {rounded(result.value)}** — stopped by {result.reason}, "
            f"{result.step} steps in {result.seconds:.1f} s.",
            *(f"**Beware**: {doubt}" for doubt in doubts),
            summary.metrics_table(result.metrics, markdown=True),
            markdown_table(["setting", "value"], rows),
            f"Again: `{start['tags']['command']}`",
        ]
    )
