"""Everything a run needs before its first step, made from its settings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from experiments.data import cache
from experiments.data.batches import Batches
from experiments.data.preprocessing import Preprocessing
from experiments.data.seeds import derive
from experiments.errors import ConfigError
from experiments.plugin.kinds import Augment, Metric
from experiments.plugin.spec import Precision, Splits, Tensors, Unit
from experiments.rules.axis import Axis
from experiments.rules.chain import Memory
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.settings import Experiment, TrackingMode
from experiments.training import compatibility, contract
from experiments.training.device import open_device
from experiments.training.diagnostics import memory
from experiments.training.forward import Forward
from experiments.training.network import check_last_batch, open_network


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The objects of runs that train together, mostly of one; `batches` has train, val and test."""

    experiments: Sequence[Experiment]
    device: torch.device
    splits: Splits
    batches: Mapping[str, Batches]
    params: Params
    model: Forward
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Metric]
    rule: Rule
    state: Memory
    steps_per_epoch: int
    total_steps: int
    monitor: str
    higher_is_better: bool
    doubts: Sequence[str]  # what is to be said of numbers that are, or will be, no good

    @property
    def experiment(self) -> Experiment:
        """The experiment of the first run: all have the same but for numbers."""
        return self.experiments[0]

    @property
    def axis(self) -> Axis:
        """Whether there is a dimension of lanes."""
        return self.params.axis

    @property
    def seeds(self) -> list[int]:
        """The seed of each run."""
        return [experiment.seed for experiment in self.experiments]

    @property
    def trained(self) -> Tensors:
        """What training changes: the vector of parameters, and the buffers."""
        return {"params": self.params.vector, **self.model.buffers}

    def is_evaluated(self, t: int) -> bool:
        """Say whether the val split is evaluated after step `t`."""
        evaluate = self.experiment.evaluate
        unit = 1 if evaluate.unit is Unit.step else self.steps_per_epoch
        return t % (evaluate.every * unit) == 0 or t == self.total_steps

    def is_measured(self, t: int) -> bool:
        """Say whether step `t` is measured layer by layer."""
        every = self.experiment.diagnostics.every
        return every is not None and t % every == 0

    def is_stop(self, t: int) -> bool:
        """Say whether the losses or the parameters are looked at after step `t`."""
        is_logged = t % self.experiment.log_every == 0
        return is_logged or self.is_evaluated(t) or self.is_measured(t)


def splits_for(experiment: Experiment) -> Splits:
    """Load an experiment's data, from the copy that an earlier run has kept where there is one."""
    return cache.load_splits(
        experiment.dataset,
        Path(experiment.output) / ".cache",
        keep=experiment.tracking.mode is not TrackingMode.none,
        workers=experiment.data.workers,
    )


def prepare(experiment: Experiment) -> Session:
    """Find the device, load the data, and build network, rule and metrics.

    Raises ConfigError where parts do not fit each other, DataError where data is damaged.
    """
    device = open_device(experiment.device)
    splits = splits_for(experiment)
    loss_fn = compatibility.loss_for(experiment, splits.spec)
    metrics = compatibility.metrics_for(experiment, splits.spec)
    params, model = open_network(experiment, splits.spec, device)
    augment = compatibility.augmentations_for(experiment, splits.spec, loss_fn)
    batches = _batches(experiment, splits, params, augment)
    train, val = batches["train"], batches["val"]
    monitor, higher_is_better = compatibility.monitored(experiment.monitor, metrics, val.size)
    doubts = [*splits.warnings, *compatibility.undefined(metrics, batches)]
    doubts += contract.check_returns(
        experiment, splits.spec, train, params, model, loss=loss_fn, metrics=metrics
    )
    steps = _counted(experiment, train)
    contract.check_schedules(experiment, **steps)
    compatibility.check_diagnostics(experiment)
    if steps["total_steps"] >= steps["steps_per_epoch"] or experiment.batch_size == 1:
        check_last_batch(experiment, model, params, train)
    rule = rule_for([experiment], params, **steps)
    return Session(
        experiments=(experiment,),
        device=device,
        splits=splits,
        batches=batches,
        params=params,
        model=model,
        loss_fn=loss_fn,
        metrics=metrics,
        rule=rule,
        state=memory.initial([experiment], rule, params),
        monitor=monitor,
        higher_is_better=higher_is_better,
        doubts=[*doubts, *compatibility.too_late(experiment, steps["total_steps"])],
        **steps,
    )


def _counted(experiment: Experiment, train: Batches) -> dict[str, int]:
    """Return the numbers of steps of an epoch and of all."""
    steps_per_epoch = math.ceil(len(train) / experiment.accumulate)
    total_steps = experiment.epochs * steps_per_epoch
    total_steps = min(total_steps, experiment.max_steps or total_steps)
    return {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}


def _batches(
    experiment: Experiment, splits: Splits, params: Params, augment: Mapping[str, Augment]
) -> dict[str, Batches]:
    device, dtype = params.vector.device, params.vector.dtype
    preprocessing = Preprocessing(
        splits.spec,
        device=device,
        dtype=dtype,
        augment=augment,
        channels_last=params.layout.channels_last,
    )
    make = partial(
        Batches,
        preprocessing=preprocessing,
        device=device,
        workers=experiment.data.workers,
        resident=experiment.dataset.resident,
    )
    train = make(
        splits.train,
        batch_size=experiment.batch_size,
        order=experiment.data.order,
        drop_last=experiment.data.drop_last,
        weights=compatibility.sampling_for(experiment, splits),
    )
    if not len(train):
        raise ConfigError(
            f"batch_size={experiment.batch_size}: data.drop_last=true leaves no batch of the "
            f"{train.size} items; use at most that many."
        )
    compatibility.check_rule(experiment, train.size)
    return {
        "train": train,
        "val": make(splits.val, batch_size=experiment.evaluate.batch_size),
        "test": make(splits.test, batch_size=experiment.evaluate.batch_size),
    }


def rule_for(
    experiments: Sequence[Experiment], params: Params, *, total_steps: int, steps_per_epoch: int
) -> Rule:
    """Return the rule of one run, or of several as lanes."""
    first, schedules = experiments[0], [{"lr": e.schedule, **e.schedules} for e in experiments]
    return Rule(
        params,
        [experiment.optimizer for experiment in experiments],
        {name: [e.transform[name] for e in experiments] for name in first.transform},
        {name: [each[name] for each in schedules] for name in schedules[0]},
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        scaled=first.device.precision is Precision.fp16,
        seeds=[derive(experiment.seed, "rule") for experiment in experiments],
    )
