"""What a script or a notebook calls: `run` and `sweep`, and what they return."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import experiments
from experiments.api import command
from experiments.api.command import Multiple, Single
from experiments.errors import ConfigError, explained
from experiments.plugin.description import describe, flatten
from experiments.process import secrecy
from experiments.runs import checkpoints, journal
from experiments.runs.folder import Folder
from experiments.runs.journal import Event
from experiments.runs.predictor import predictor
from experiments.runs.result import Result, Status
from experiments.runs.tracker import InMemory
from experiments.sweeps import leaderboard
from experiments.text import quoted
from experiments.training.session import Session

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Tensor], Tensor]
_PLAIN = re.compile(r"(?!(?:true|false|null|nan|inf)$)[A-Za-z_][\w./-]*", re.IGNORECASE)


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


def run(*overrides: str, root: Path | str | None = None, **settings: Any) -> Trained:
    """Train once, as `python run.py` with these settings does: `run("model=mlp", epochs=5)`.

    `root` is the checkout, by default the one that the working directory is in. Raises the errors
    of `experiments.errors` that a command line would tell, and what a plugin raises.
    """
    done = _carried_out(overrides, settings, root, multirun=False)
    if isinstance(done, Single):
        events = done.tracker.events if isinstance(done.tracker, InMemory) else None
        folder = done.tracker.folder
        of_folder = _events(Folder(folder)) if folder is not None else None
        return Trained(
            done.result,
            flatten(describe(done.session.experiment)),
            folder,
            lambda: events or list(of_folder or ()),
            partial(_of_session, done.session),
        )
    if isinstance(done, Folder):
        return _of_folder(done)
    raise ConfigError("These settings make several runs: call sweep(...).")


def sweep(*overrides: str, root: Path | str | None = None, **settings: Any) -> TrainedSweep:
    """Train every combination of values: `sweep("optimizer.lr=0.1,0.01", seed=range(8))`.

    A keyword's list or range is a setting's values. A job that fails is among the runs, with its
    status and reason; for the rest it is as `run`.
    """
    done = _carried_out(overrides, settings, root, multirun=True)
    assert isinstance(done, Multiple)
    jobs = sorted(leaderboard.read(done.folder), key=lambda job: leaderboard.order(job.name))
    trained = TrainedSweep(_of_folder(Folder(done.folder / job.name).source) for job in jobs)
    trained.folder = done.folder if done.kept else None
    if not done.kept:  # what is asked for later has to be read now
        trained = TrainedSweep(_in_memory(one) for one in trained)
    done.close()
    return trained


def _carried_out(
    overrides: Iterable[str],
    settings: Mapping[str, Any],
    root: Path | str | None,
    *,
    multirun: bool,
) -> "Single | Multiple | Folder":
    lines = [*overrides, *(_line(name, value, multirun) for name, value in settings.items())]
    secrecy.hide_environment(os.environ)
    place = _checkout() if root is None else Path(root).resolve()
    try:
        with _own_logging():
            return command.composed(place, "config", lines, multirun=multirun).carry_out()
    except Exception as error:
        told = explained(error)
        if told is error:
            raise
        raise told from error


def _checkout() -> Path:
    """Return the checkout that the working directory is in, else the one of this package."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(experiments.__file__).parents[2]):
        if (folder / "conf" / "config.yaml").is_file():
            return folder
    raise ConfigError(f"There is no conf/config.yaml in {here} or above; give root=FOLDER.")


def _line(name: str, value: Any, several: bool) -> str:
    """Return a keyword as a setting of a command line, of a sweep maybe with several values."""
    if several and isinstance(value, (list, tuple, range)):
        return f"{name}={','.join(map(_text, value))}"
    return f"{name}={_text(value)}"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str | Path):
        return str(value) if _PLAIN.fullmatch(str(value)) else quoted(str(value))
    if isinstance(value, (list, tuple, range)):
        return f"[{','.join(map(_text, value))}]"
    return repr(value)


@contextmanager
def _own_logging() -> Iterator[None]:
    """Give the caller's log back afterwards: a run has its own."""
    log = logging.getLogger()
    handlers, level = list(log.handlers), log.level
    try:
        yield
    finally:
        for handler in set(log.handlers) - set(handlers):
            handler.close()
        log.handlers[:] = handlers
        log.setLevel(level)


def _events(folder: Folder) -> Iterator[Event]:
    return (event for event in folder.events() if event["event"] in journal.NUMBERS)


def _of_folder(folder: Folder) -> Trained:
    return Trained(
        folder.result,
        folder.settings,
        folder.path,
        partial(_events, folder),
        lambda: predictor(folder.path / checkpoints.FOLDER / checkpoints.BEST),
    )


def _in_memory(trained: Trained) -> Trained:
    """Return a run whose folder goes."""
    events, predict = list(trained._events()), None
    if trained.status in (Status.finished, Status.pruned):
        predict = trained.model

    def known() -> Predict:
        if predict is None:
            raise ConfigError(f"The run has no model: {trained.result.reason}.")
        return predict

    return Trained(trained.result, trained.settings, None, lambda: events, known)


def _of_session(session: Session) -> Predict:
    """Return the function of items that a session's model computes, with its parameters now."""
    preprocessing = session.batches["test"].preprocessing

    @torch.no_grad()
    def predict(items: Tensor) -> Tensor:
        inputs, _ = preprocessing.plain(items.to(session.device), torch.zeros(len(items)))
        session.model.train(False)
        return session.model(session.params.tensors, inputs).cpu()

    return predict
