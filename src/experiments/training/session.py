"""Everything a run needs before its first step, made from its settings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from experiments.data import cache
from experiments.data.batches import Batches
from experiments.data.preprocessing import Preprocessing
from experiments.data.seeds import default_stream
from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.plugin.kinds import Metric
from experiments.plugin.spec import (
    DataSpec,
    MemoryFormat,
    Network,
    Precision,
    Splits,
    Tensors,
    Unit,
)
from experiments.rules.axis import Axis
from experiments.rules.params import Params, initial_tensors
from experiments.rules.rule import Memory, Rule
from experiments.settings import Experiment, TrackingMode
from experiments.training import compatibility
from experiments.training.device import open_device
from experiments.training.forward import Forward


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

    def is_stop(self, t: int) -> bool:
        """Say whether the losses or the parameters are looked at after step `t`."""
        return t % self.experiment.log_every == 0 or self.is_evaluated(t)


def prepare(experiment: Experiment) -> Session:
    """Find the device, load the data, and build network, rule and metrics.

    Raises ConfigError where parts do not fit each other, DataError where data is damaged.
    """
    device = open_device(experiment.device)
    splits = cache.load_splits(
        experiment.dataset,
        Path(experiment.output) / ".cache",
        keep=experiment.tracking.mode is not TrackingMode.none,
        workers=experiment.data.workers,
    )
    loss_fn = compatibility.loss_for(experiment, splits.spec)
    metrics = compatibility.metrics_for(experiment, splits.spec)
    monitor, higher_is_better = compatibility.monitored(experiment.monitor, metrics)

    params, model = _network(experiment, splits.spec, device)
    preprocessing = Preprocessing(
        splits.spec,
        device=device,
        dtype=params.vector.dtype,
        augment=compatibility.augmentations_for(experiment, splits.spec, loss_fn),
        channels_last=params.channels_last,
    )
    batches = _batches(experiment, splits, preprocessing, device)
    _probe(experiment, splits.spec, model, params, batches["train"])

    steps_per_epoch = math.ceil(len(batches["train"]) / experiment.accumulate)
    total_steps = experiment.epochs * steps_per_epoch
    total_steps = min(total_steps, experiment.max_steps or total_steps)
    rule = rule_for([experiment], params, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
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
        state=rule.init(params.vector),
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        monitor=monitor,
        higher_is_better=higher_is_better,
    )


def build_network(experiment: Experiment, spec: DataSpec) -> nn.Module | Network:
    """Return the model's network with the parameters that the seed gives it."""
    with default_stream(experiment.seed, "init"):
        try:
            return experiment.model.build(spec)
        except ValueError as error:
            raise ConfigError(f"{_pair(experiment)}: {error}.") from error


def _network(
    experiment: Experiment, spec: DataSpec, device: torch.device
) -> tuple[Params, Forward]:
    """Build the network, and take it apart into its parameters and the function of them."""
    precision = experiment.device.precision
    dtype = torch.float64 if precision is Precision.fp64 else torch.float32
    network = build_network(experiment, spec)
    channels_last = _is_channels_last(experiment, network, device)
    params = Params([network], device, dtype, channels_last=channels_last)
    return params, Forward([network], params, precision)


def _batches(
    experiment: Experiment, splits: Splits, preprocessing: Preprocessing, device: torch.device
) -> dict[str, Batches]:
    data = experiment.data
    make = partial(
        Batches,
        preprocessing=preprocessing,
        device=device,
        workers=data.workers,
        resident=experiment.dataset.resident,
    )
    size = experiment.evaluate.batch_size
    train = make(
        splits.train, batch_size=experiment.batch_size, order=data.order, drop_last=data.drop_last
    )
    if not len(train):
        raise ConfigError(
            f"batch_size={experiment.batch_size}: data.drop_last=true leaves no batch of the "
            f"{train.size} items; use at most that many."
        )
    return {
        "train": train,
        "val": make(splits.val, batch_size=size),
        "test": make(splits.test, batch_size=size),
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
    )


def _is_channels_last(
    experiment: Experiment, network: nn.Module | Network, device: torch.device
) -> bool:
    """Say whether images lie channels last; if not told, where that makes convolutions fast."""
    asked, precision = experiment.device.memory_format, experiment.device.precision
    if asked is not MemoryFormat.auto:
        return asked is MemoryFormat.channels_last
    fast = device.type == "cpu" or precision in {Precision.tf32, Precision.bf16, Precision.fp16}
    return fast and any(tensor.dim() == 4 for tensor in initial_tensors(network).values())


def _probe(
    experiment: Experiment, spec: DataSpec, model: Forward, params: Params, train: Batches
) -> None:
    inputs, _ = train.first(2)
    model.train(False)
    try:
        with torch.no_grad():
            outputs = model(params.tensors, inputs)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{_pair(experiment)}: inputs of shape {list(inputs.shape)} do not fit: {reason}"
        ) from error
    finally:
        model.train()
    expected = [len(inputs), spec.outputs]
    if list(outputs.shape) != expected:
        raise ConfigError(
            f"{_pair(experiment)}: outputs of shape {list(outputs.shape)} must be {expected}."
        )


def _pair(experiment: Experiment) -> str:
    model = registry.name_of(type(experiment.model))
    dataset = registry.name_of(type(experiment.dataset))
    return f"model={model} does not fit dataset={dataset}"
