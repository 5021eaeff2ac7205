"""The whole experiment as typed settings; every default that is not a plugin's stands here."""

import re
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache
from typing import Any, get_origin, get_type_hints

from omegaconf import MISSING

from experiments.plugin.bounds import number
from experiments.plugin.kinds import Augment, Dataset, Device, Loss, Metric, Model, Schedule
from experiments.plugin.rulepart import Optimizer, Transform
from experiments.plugin.spec import Interval, Order, Sampling, Unit


class Decides(Enum):
    """What a setting decides of a run."""

    fit = "whether the parts fit each other, and the result"
    result = "the result"
    course = "how the result is come by: what is kept meanwhile, what follows an error"
    place = "where the result goes"
    command = "what the command does: which code and which jobs there are, what it takes up"


class Vary(Enum):
    """Which numbers of a setting may differ between runs that train together as lanes."""

    none = "none"
    declared = "those of a plugin that declare it"
    all = "all"


def setting(decides: Decides, default: Any = MISSING, *, vary: Vary = Vary.none) -> Any:
    """Declare a field of an experiment; a default that is a class is made anew for each."""
    metadata = {"decides": decides, "vary": vary}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def quantity(decides: Decides, default: float | None, **limits: float) -> Any:
    """Declare a field of an experiment that is a number within limits."""
    metadata = {"decides": decides, "vary": Vary.none}
    limited: dict[str, Any] = {**limits}
    return number(default, metadata=metadata, **limited)


class TrackingMode(Enum):
    """Where a run's journal goes: to MLflow, no further than its folder, or it is not written."""

    mlflow = "mlflow"
    offline = "offline"
    none = "none"


@dataclass(kw_only=True, slots=True)
class Data:
    """How batches are made of a data set."""

    workers: int = number(0, at_least=0)  # processes of the DataLoader
    order: Order = Order.reshuffle
    drop_last: bool = False  # leave out an epoch's last batch where it is smaller
    sampling: Sampling = Sampling.uniform  # balanced: rare classes as often as frequent ones


@dataclass(kw_only=True, slots=True)
class Evaluate:
    """When the val split is evaluated; it always is after the last step."""

    every: int = number(1, at_least=1)
    unit: Unit = Unit.epoch
    batch_size: int = number(1000, at_least=1)
    train: bool = False  # evaluate the train split too


@dataclass(kw_only=True, slots=True)
class Diagnostics:
    """Which steps are measured, of the whole model and layer by layer; `null` means none."""

    every: int | None = number(None, at_least=1)  # steps
    noise_scale: bool = False  # of the gradient, for one more of them
    sharpness: bool = False  # the Hessian's largest eigenvalue, for five products with it


@dataclass(kw_only=True, slots=True)
class EarlyStopping:
    """When training ends before its time; `null` means never."""

    patience: int | None = number(None, at_least=1)  # evaluations without a better result
    min_delta: float = number(0.0, at_least=0)  # what counts as better
    target: float | None = None  # a value of the monitored metric that is good enough


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """How often a run is kept such that it can go on, beside its best and its last step."""

    every: float = number(1.0, above=0)
    unit: Interval = Interval.minute


# What a sweep does after a job that failed.
OnError = Enum("OnError", {"continue": "continue", "stop": "stop"})


@dataclass(kw_only=True, slots=True)
class Jobs:
    """Jobs of a sweep that are no product of values."""

    file: str | None = None  # a csv or yaml file with one job a row
    zip: list[str] = field(default_factory=list)  # settings whose values go side by side


@dataclass(kw_only=True, slots=True)
class Tracking:
    """Where results go."""

    mode: TrackingMode = TrackingMode.mlflow
    uri: str | None = None  # null: $MLFLOW_TRACKING_URI, else mlflow.db in the checkout
    experiment: str = "experiments"  # of MLflow
    # of the run; null: its model, rule and data set, or what a sweep varies
    name: str | None = None
    wait: float = number(5.0, at_least=0)  # seconds after the run for an upload that is stuck
    figures: bool | None = None  # null: of a run of its own, and not of each job of a sweep
    model: bool | None = None  # log a model that MLflow can load and serve; null: as for figures


@dataclass(kw_only=True, slots=True)
class Experiment:
    """Everything that decides a run."""

    dataset: Dataset = setting(Decides.fit)
    model: Model = setting(Decides.fit, vary=Vary.declared)
    optimizer: Optimizer = setting(Decides.result, vary=Vary.all)
    device: Device = setting(Decides.fit)
    loss: Loss = setting(Decides.fit, vary=Vary.declared)
    schedule: Schedule = setting(Decides.result, vary=Vary.all)  # of lr
    # of the rule's other numbers
    schedules: dict[str, Schedule] = setting(Decides.result, dict, vary=Vary.all)
    transform: dict[str, Transform] = setting(Decides.fit, dict, vary=Vary.all)  # in order
    augment: dict[str, Augment] = setting(Decides.fit, dict)  # of training batches, in order
    metric: dict[str, Metric] = setting(Decides.fit, dict)  # none: the task's usual ones

    seed: int = number(
        0, at_least=0, repeats=True, metadata={"decides": Decides.result, "vary": Vary.all}
    )
    epochs: int = quantity(Decides.result, 30, at_least=1)
    max_steps: int | None = quantity(Decides.result, None, at_least=1)
    time_limit: float | None = quantity(Decides.result, None, above=0)  # seconds of training
    batch_size: int = quantity(Decides.fit, 32, at_least=1)
    # batches whose mean gradient makes one step
    accumulate: int = quantity(Decides.result, 1, at_least=1)
    # steps between two looks at the losses
    log_every: int = quantity(Decides.result, 50, at_least=1)
    # the metric that decides what is best; null: the first of val/
    monitor: str | None = setting(Decides.fit, None)

    data: Data = setting(Decides.fit, Data)
    evaluate: Evaluate = setting(Decides.result, Evaluate)
    diagnostics: Diagnostics = setting(Decides.result, Diagnostics)
    early_stopping: EarlyStopping = setting(Decides.result, EarlyStopping)
    # end the run where a number that counts is not finite
    stop_on_divergence: bool = setting(Decides.result, True)
    checkpoint: Checkpoint = setting(Decides.course, Checkpoint)
    # a run's id or folder; auto: the unfinished one of these settings
    resume: str | None = setting(Decides.command, None)
    # go on though settings, code or data have changed
    resume_changed: bool = setting(Decides.command, False)
    sweep: Jobs = setting(Decides.command, Jobs)
    # of each job of a sweep, with as many seeds
    repeats: int = quantity(Decides.command, 1, at_least=1)
    # after a job of a sweep that failed
    on_error: OnError = setting(Decides.command, OnError["continue"])
    # the results of runs with the same settings, code and versions
    reuse: bool = setting(Decides.command, False)
    tracking: Tracking = setting(Decides.place, Tracking)
    output: str = setting(Decides.place)  # the folder of all runs' folders
    plugin_path: list[str] = setting(Decides.command, list)  # more folders with plugins


@cache
def _declared() -> dict[str, Decides]:
    return {own.name: own.metadata["decides"] for own in fields(Experiment)}


def decided_by(key: str) -> Decides:
    """Return what a setting decides, by its dotted key; Hydra's own decide the place.

    What is no setting by itself is a preset, which may decide anything.
    """
    name = re.split(r"[.@/]", key.lstrip("+~"))[0]
    return Decides.place if name == "hydra" else _declared().get(name, Decides.fit)


def taken_several() -> set[str]:
    """Name the settings that hold several plugins, each under its own name."""
    hints = get_type_hints(Experiment)
    return {name for name, hint in hints.items() if get_origin(hint) is dict}
