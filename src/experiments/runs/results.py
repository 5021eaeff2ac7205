"""How a run ended: its result, its files, and what its page in MLflow says first."""

import json
import logging
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.errors import DivergedError
from experiments.plugin import description
from experiments.process.secrecy import clean
from experiments.report import summary
from experiments.report.tables import markdown_table
from experiments.runs import code, provenance
from experiments.runs.tracker import Tracker
from experiments.training.history import History
from experiments.training.session import Session

FILE = "result.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A run's outcome: status is finished, diverged or failed; metrics are best, final and test."""

    status: str
    reason: str
    step: int
    seconds: float
    monitor: str
    higher_is_better: bool
    metrics: dict[str, float]

    @property
    def value(self) -> float:
        """The best value of the monitored metric, NaN where there is none."""
        return self.metrics.get(f"best/{self.monitor}", float("nan"))


def unfinished(status: str = "unfinished", reason: str = "it left no result") -> Result:
    """Return the result of a run that did not come to its end."""
    return Result(
        status=status,
        reason=reason,
        step=0,
        seconds=0.0,
        monitor="",
        higher_is_better=True,
        metrics={},
    )


def read(folder: Path) -> Result | None:
    """Return the result that stands in a run's folder, if one does."""
    try:
        return Result(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Value(float):
    """A run's value as a sweep hands it on, and how the run has ended."""

    status: str
    higher_is_better: bool

    @classmethod
    def none(cls, status: str) -> "Value":
        """Return the value of a run that has none."""
        value = cls("nan")
        value.status, value.higher_is_better = status, True
        return value

    @classmethod
    def of(cls, result: Result) -> "Value":
        """Return the value of a result."""
        value = cls(result.value)
        value.status, value.higher_is_better = result.status, result.higher_is_better
        return value


def announce(result: Result, history: History, log: logging.Logger) -> None:
    """Print the result table and why the run ended."""
    log.info("\n%s\n", summary.metrics_table(result.metrics))
    best = f"{history.monitor} {result.value:.4f} at step {history.best_step}"
    log.info("best     %s", best)
    log.info("stopped  %s, after %d steps and %.1f s", result.reason, result.step, result.seconds)


def record_origin(
    session: Session, tracker: Tracker, config: Mapping[str, Any], dataset: Mapping[str, Any]
) -> None:
    """Record the settings, the device, and the data."""
    if tracker.folder is not None:
        write(tracker, "config.yaml", description.to_yaml(config))
        tracker.add("tags", values={"device": provenance.device_name(session.device)})
        tracker.add("dataset", **dataset)


def write_patch(tracker: Tracker, root: Path) -> None:
    """Record what the code has beside its commit."""
    if tracker.folder is not None and (patch := provenance.patch(root)):
        write(tracker, "code.patch", patch)


def hand_over(
    session: Session, tracker: Tracker, history: History, result: Result, start: Mapping[str, Any]
) -> None:
    """Give the tracker every file of the run and its description, and draw the figures.

    They come last, as the rest is uploaded meanwhile.
    """
    if tracker.folder is None:
        return
    for path in sorted(tracker.folder.glob("checkpoints/*.safetensors")):
        tracker.artifact(f"checkpoints/{path.name}", "checkpoints")
    settings, alone = session.experiment.tracking, start["parent_id"] is None
    if alone if settings.model is None else settings.model:
        _add_model(tracker, session)
    write(tracker, FILE, json.dumps(asdict(result), indent=2))
    tracker.add("tags", values={"mlflow.note.content": _note(result, start)})
    if alone if settings.figures is None else settings.figures:
        for name in summary.draw(session, history, tracker.folder / "figures"):
            tracker.artifact(f"figures/{name}", "figures")


def record_failure(tracker: Tracker, error: Exception) -> None:
    """Keep the traceback and the result of a run that an error ended."""
    status = "diverged" if isinstance(error, DivergedError) else "failed"
    result = unfinished(status, str(error) or type(error).__name__)
    with suppress(OSError):  # the disk that stopped the run may be full still
        write(tracker, FILE, json.dumps(asdict(result), indent=2))
        write(tracker, "error.txt", "".join(traceback.format_exception(error)))
        tracker.add("tags", values={"mlflow.note.content": f"**{type(error).__name__}**: {error}"})


def end(tracker: Tracker, status: str) -> None:
    """Give the tracker what the run has printed, and close it; a full disk may have the end."""
    with suppress(OSError):
        if tracker.folder is not None:
            for path in sorted(tracker.folder.glob("*.log")):
                tracker.artifact(path.name)
        if tracker.difference:
            log.warning("Done again, the run differs: %s.", tracker.difference)
            tracker.add("tags", values={"resumed.difference": tracker.difference})
        tracker.add("end", status=status)
        tracker.sync()
    tracker.close()


def write(tracker: Tracker, name: str, text: str) -> None:
    """Write a text file into the run's folder, where there is one, and hand it over."""
    if tracker.folder is not None:
        (tracker.folder / name).write_text(clean(text).rstrip() + "\n", encoding="utf-8")
        tracker.artifact(name)


def _add_model(tracker: Tracker, session: Session) -> None:
    assert tracker.folder is not None
    module = type(session.experiment.model).__module__
    code.copy(module, tracker.folder / code.FOLDER)
    tracker.add(
        "model",
        path="checkpoints/best.safetensors",
        input_shape=session.splits.spec.input_shape,
        outputs=session.splits.spec.outputs,
        module=module,
        code=code.FOLDER,
    )


def _note(result: Result, start: Mapping[str, Any]) -> str:
    rows = [[name, str(value)] for name, value in start["params"].items() if "." not in name]
    return "\n\n".join(
        [
            f"**{result.monitor} {result.value:.4f}** — stopped by {result.reason}, "
            f"{result.step} steps in {result.seconds:.1f} s.",
            summary.metrics_table(result.metrics, markdown=True),
            markdown_table(["setting", "value"], rows),
            f"Again: `{start['tags']['command']}`",
        ]
    )
