"""What a script or a notebook calls: `run` and `sweep`."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import experiments
from experiments.api import command
from experiments.api.outcome import Multiple, Single
from experiments.api.trained import (
    Trained,
    TrainedSweep,
    in_memory,
    of_folder,
    of_single,
    without_folder,
)
from experiments.errors import ConfigError, without_exit
from experiments.plugin.failure import explained
from experiments.process import secrecy
from experiments.process.isolation import isolated
from experiments.runs.folder import Folder
from experiments.sweeps import leaderboard
from experiments.text import as_value


def run(*overrides: str, root: Path | str | None = None, **settings: Any) -> Trained:
    """Train once, as `python run.py` with these settings does: `run("model=mlp", epochs=5)`.

    `root` is the checkout, by default the one that the working directory is in. Raises the errors
    of `experiments.errors` that a command line would tell, and what a plugin raises.
    """
    done = _carried_out(overrides, settings, root, multirun=False)
    if isinstance(done, Single):
        return of_single(done)
    assert isinstance(done, Folder)
    return of_folder(done)


def sweep(*overrides: str, root: Path | str | None = None, **settings: Any) -> TrainedSweep:
    """Train every combination of values: `sweep("optimizer.lr=0.1,0.01", seed=range(8))`.

    A keyword's list or range is a setting's values. A job that fails is among the runs, with its
    status and reason; for the rest it is as `run`.
    """
    done = _carried_out(overrides, settings, root, multirun=True)
    assert isinstance(done, Multiple)
    jobs = {
        job.name: of_folder(Folder(done.folder / job.name).source)
        for job in leaderboard.read(done.folder)
    }
    for number, reason in done.failures.items():  # some may not have come to have a folder
        jobs.setdefault(str(number), without_folder(reason))
    trained = TrainedSweep(jobs[name] for name in sorted(jobs, key=leaderboard.order))
    trained.folder = done.folder if done.kept else None
    if not done.kept:  # what is asked for later has to be read now
        trained = TrainedSweep(in_memory(one) for one in trained)
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
        with _own_logging(), without_exit():
            asked = command.composed(place, "config", lines, multirun=multirun)
            if asked.plan.multirun and not multirun:
                raise ConfigError("These settings make several runs: call sweep(...).")
            with isolated():
                return asked.carry_out()
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
        return as_value(str(value))
    if isinstance(value, (list, tuple, range)):
        return f"[{','.join(map(_text, value))}]"
    return repr(value)


@contextmanager
def _own_logging() -> Iterator[None]:
    """Give the caller's log back afterwards: a run has its own."""
    log, known = logging.getLogger(), logging._handlerList  # type: ignore[attr-defined]
    handlers, level, all_handlers = list(log.handlers), log.level, list(known)
    known.clear()  # else setting up another log would close them
    try:
        yield
    finally:
        for handler in set(log.handlers) - set(handlers):
            handler.close()
        known[:] = all_handlers
        log.handlers[:] = handlers
        log.setLevel(level)
