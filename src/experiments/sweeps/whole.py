"""A whole sweep: its jobs, between the start and the end of the run that stands for it."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from hydra.core.plugins import Plugins
from omegaconf import open_dict, read_write

from experiments.config import compose
from experiments.errors import Interrupted, StorageError
from experiments.plugin.failure import explained
from experiments.runs.folder import Folder
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.runs.result import Status
from experiments.settings import TrackingMode
from experiments.sweeps import console, interrupted, library, paths
from experiments.sweeps.parent import Sweep
from experiments.sweeps.plan import Plan
from experiments.sweeps.task import Task
from experiments.text import quoted
from experiments.tracking import launch


def carry_out(plan: Plan, task: Task, overrides: Sequence[str], *, resume: bool) -> None:
    """Train the jobs of a sweep, and say how long what took; `task` tells which have failed.

    Raises StorageError where a disk is full: the same command goes on once there is room.
    """
    for lines, problem in plan.wrong.items():
        print(f"{lines} is left out: {problem}", file=sys.stderr)
    tracking, started = plan.experiment.tracking, time.monotonic()
    name = tracking.name or f"sweep {' '.join(overrides)}"
    identity = Identity(task.run_id, None, name, overrides)
    with launch.uploading(tracking, plan.folder, task.root) as hurry:
        tracker = Journal(plan.folder, resume=resume)
        config = interrupted.config_of(overrides, plan)
        remake = paths.remake_of(plan, task.root, task.name)
        parent = Sweep(plan.experiment, tracker, identity, task.root, config, remake)
        took = _train(plan, task, parent, hurry)
        waited = time.monotonic()
    page = waited - started - took
    mlflow = time.monotonic() - waited
    console.time(len(task.jobs), sum(task.seconds), took, page=page, mlflow=mlflow)


def _train(plan: Plan, task: Task, parent: Sweep, hurry: Callable[[], None]) -> float:
    """Let the sweeper carry out the jobs, and end the parent; return the seconds that they took."""
    config, started = plan.config, time.monotonic()
    with read_write(config), open_dict(config):
        config.hydra.sweep.dir = str(plan.folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(plan.folder))}")
    try:
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=plan.context, task_function=task, config=config
        )
        sweeper.sweep(compose.plain(config.hydra.overrides.task))
    except BaseException as error:
        told = explained(error) if isinstance(error, Exception) else error
        goes_on = isinstance(told, StorageError | Interrupted)
        with suppress(OSError):  # the disk may be full still
            parent.close("KILLED" if goes_on else "FAILED")
        if goes_on and plan.experiment.tracking.mode is not TrackingMode.none:
            told.add_note("the same command goes on with what is missing")
        if told is error:
            raise
        raise told from error
    if not task.is_stopped:
        _look_for_the_lost(plan, task)
    seconds = time.monotonic() - started
    hurry()
    # One that was stopped is not at its end: the same command goes on with it.
    parent.close("KILLED" if task.is_stopped else "FAILED" if task.failures else "FINISHED")
    return seconds


def _look_for_the_lost(plan: Plan, task: Task) -> None:
    """Let jobs have failed whose folders are gone, or that came to no end and nobody asked for."""
    for number, name in task.jobs.items():
        if not Folder(plan.folder / name).source.exists:
            task.failures.setdefault(number, f"job {number}: its folder {name} is gone")
    for number, (folder, _) in library.begun(plan.folder, task.run_id).items():
        if number not in task.jobs and folder.source.status is Status.unfinished:
            task.failures[number] = f"job {number}: it came to no end"
