"""The whole experiment as typed settings; every default that is not a plugin's stands here."""

from dataclasses import dataclass, field
from enum import Enum

from omegaconf import MISSING

from experiments.plugin.bounds import number
from experiments.plugin.kinds import (
    Augment,
    Dataset,
    Device,
    Loss,
    Metric,
    Model,
    Optimizer,
    Schedule,
    Transform,
)
from experiments.plugin.spec import Interval, Order, Unit


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


@dataclass(kw_only=True, slots=True)
class Evaluate:
    """When the val split is evaluated; it always is after the last step."""

    every: int = number(1, at_least=1)
    unit: Unit = Unit.epoch
    batch_size: int = number(1000, at_least=1)
    train: bool = False  # evaluate the train split too


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
    name: str | None = (
        None  # of the run; null: its model, rule and data set, or what a sweep varies
    )
    wait: float = number(5.0, at_least=0)  # seconds after the run for an upload that is stuck
    figures: bool | None = None  # null: of a run of its own, and not of each job of a sweep
    model: bool | None = None  # log a model that MLflow can load and serve; null: as for figures


@dataclass(kw_only=True, slots=True)
class Experiment:
    """Everything that decides a run."""

    dataset: Dataset = MISSING
    model: Model = MISSING
    optimizer: Optimizer = MISSING
    device: Device = MISSING
    loss: Loss = MISSING
    schedule: Schedule = MISSING  # of lr
    schedules: dict[str, Schedule] = field(default_factory=dict)  # of the rule's other numbers
    transform: dict[str, Transform] = field(default_factory=dict)  # in order
    augment: dict[str, Augment] = field(default_factory=dict)  # of training batches, in order
    metric: dict[str, Metric] = field(default_factory=dict)  # none: the task's usual ones

    seed: int = number(0, at_least=0)
    epochs: int = number(30, at_least=1)
    max_steps: int | None = number(None, at_least=1)
    time_limit: float | None = number(None, above=0)  # seconds of training
    batch_size: int = number(32, at_least=1)
    accumulate: int = number(1, at_least=1)  # batches whose mean gradient makes one step
    log_every: int = number(50, at_least=1)  # steps between two looks at the losses
    monitor: str | None = None  # the metric that decides what is best; null: the first of val/

    data: Data = field(default_factory=Data)
    evaluate: Evaluate = field(default_factory=Evaluate)
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    stop_on_divergence: bool = True  # end the run where a number that counts is not finite
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    resume: str | None = None  # a run's id or folder; auto: the unfinished one of these settings
    resume_changed: bool = False  # go on though settings, code or data have changed
    sweep: Jobs = field(default_factory=Jobs)
    repeats: int = number(1, at_least=1)  # of each job of a sweep, with as many seeds
    on_error: OnError = OnError["continue"]  # after a job of a sweep that failed
    reuse: bool = False  # the results of runs with the same settings, code and versions
    lanes: str | None = None  # the file of jobs that train together, which a sweep writes
    tracking: Tracking = field(default_factory=Tracking)
    output: str = MISSING  # the folder of all runs' folders
    plugin_path: list[str] = field(default_factory=list)  # more folders with plugins
