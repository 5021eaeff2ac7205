"""What has come of a run, as a script looks at it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from experiments.api.outcome import Single
from experiments.errors import ConfigError
from experiments.plugin.description import describe, flatten
from experiments.runs import checkpoints, journal
from experiments.runs.events import Event
from experiments.runs.folder import Folder
from experiments.runs.predictor import predictor
from experiments.runs.result import Result, Status
from experiments.runs.tracker import InMemory
from experiments.training.session import Session

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Trained:
    """A run that has ended: its result, its settings by dotted name, its folder if it has one."""

    result: Result
    settings: Mapping[str, Any]
    folder: Path | None
    _events: Callable[[], Iterable[Event]]
    _predict: Callable[[], Predict]

    @property
    def status(self) -> Status:
        """How it ended."""
        return self.result.status

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the best, of the final and of the test evaluation."""
        return self.result.metrics

    @cached_property
    def series(self) -> "pd.DataFrame":
        """Every number that was recorded: a row a step, a column a metric."""
        import pandas as pd

        columns: dict[str, dict[int, float]] = {}
        for event in self._events():
            for name, step, value in journal.points(event):
                columns.setdefault(name, {})[step] = value
        frame = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
        return frame.sort_index().rename_axis("step")

    @cached_property
    def model(self) -> Predict:
        """The best model: from items as the data set stores them [N, *item] to outputs [N, ...]."""
        return self._predict()


class TrainedSweep(list[Trained]):
    """The runs of a sweep, in the order of their numbers; `folder` is that of all of them."""

    folder: Path | None = None

    def to_frame(self) -> "pd.DataFrame":
        """Return a row a run: the settings that differ, how it ended, and its metrics."""
        import pandas as pd

        names = dict.fromkeys(name for one in self for name in one.settings)
        told = {name: [str(one.settings.get(name)) for one in self] for name in names}
        varied = [name for name, values in told.items() if len(set(values)) > 1]
        rows = [
            {name: one.settings.get(name) for name in varied}
            | {"status": str(one.status), "step": one.result.step, **one.metrics}
            for one in self
        ]
        return pd.DataFrame(rows)


def of_single(done: Single) -> Trained:
    """Return a run that has just ended."""
    settings = flatten(describe(done.session.experiment))
    predict = partial(_of_session, done.session)
    if isinstance(done.tracker, InMemory):
        events = done.tracker.events
        return Trained(done.result, settings, None, lambda: events, predict)
    assert done.tracker.folder is not None
    folder = Folder(done.tracker.folder)
    return Trained(done.result, settings, folder.path, partial(_events, folder), predict)


def of_folder(folder: Folder) -> Trained:
    """Return the run of a folder."""
    return Trained(
        folder.result,
        folder.settings,
        folder.path,
        partial(_events, folder),
        lambda: predictor(folder.path / checkpoints.FOLDER / checkpoints.BEST),
    )


def without_folder(reason: str) -> Trained:
    """Return a job that failed before it had a folder."""
    result = Result(status=Status.failed, reason=reason)
    return Trained(result, {}, None, list, lambda: _refuse(result))


def in_memory(trained: Trained) -> Trained:
    """Return a run whose folder is going to be removed, with what was in it."""
    events, result = list(trained._events()), trained.result
    has_model = result.status in (Status.finished, Status.pruned)
    predict = trained.model if has_model else None
    return Trained(
        result, trained.settings, None, lambda: events, lambda: predict or _refuse(result)
    )


def _refuse(result: Result) -> Predict:
    raise ConfigError(f"The run has no model: {result.reason}.")


def _of_session(session: Session) -> Predict:
    """Return the function of items that a session's model computes, with its parameters now."""
    preprocessing = session.batches["test"].preprocessing

    @torch.no_grad()
    def predict(items: Tensor) -> Tensor:
        inputs, _ = preprocessing.plain(items.to(session.device), torch.zeros(len(items)))
        session.model.train(False)
        outputs = session.model(session.params.tensors, inputs)
        return preprocessing.in_units(outputs).to(outputs.dtype).cpu()

    return predict


def _events(folder: Folder) -> Iterator[Event]:
    return (event for event in folder.events() if event["event"] in journal.NUMBERS)
