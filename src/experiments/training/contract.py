"""What plugins return, checked once before the first step: each by kind, name and file.

A plugin's copy is called, so that what it counts or remembers begins with the first step.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from experiments.data.batches import Batches
from experiments.data.preprocessing import Batch, Preprocessing
from experiments.plugin.draws import Draws
from experiments.plugin.failure import outline, refuse
from experiments.plugin.kinds import Augment, Loss, Metric, Schedule
from experiments.plugin.spec import DataSpec, Task, Unit
from experiments.rules.numbers import filled, numbers
from experiments.rules.params import Params
from experiments.settings import Experiment
from experiments.training.forward import Forward
from experiments.training.network import check_outputs

_ITEMS = 3
_STEPS = 1024  # whose factors are looked at
_VECTOR, _SCALAR = "a vector of numbers, a 1-d tensor or several", "a scalar, a 0-d tensor"


def check_returns(
    experiment: Experiment,
    spec: DataSpec,
    train: Batches,
    params: Params,
    model: Forward,
    *,
    loss: Loss,
    metrics: Mapping[str, Metric],
) -> list[str]:
    """Let every plugin do its part with the first items of train; raise ConfigError.

    Returns what is to be said of parameters that no gradient reaches.
    """
    inputs, targets = train.first(_ITEMS)
    outputs = check_outputs(experiment, spec, model, params, inputs)
    changed, learnt = _augmented(experiment.augment, spec, train.preprocessing, (inputs, targets))
    if changed.shape != inputs.shape:
        check_outputs(experiment, spec, model, params, changed)
    _check_loss(loss, outputs, learnt)
    for metric in metrics.values():
        in_units = train.preprocessing.in_units
        _check_metric(metric, in_units(outputs), in_units(targets))
    return list(_unreached(params, model, changed, lambda outputs: loss(outputs, learnt)))


def _unreached(
    params: Params, model: Forward, inputs: Tensor, loss: Callable[[Tensor], Tensor]
) -> Iterator[str]:
    """Yield which parameters the loss does not depend on at the first step, as evaluated."""
    model.train(False)
    value = loss(model.aside()(params.tensors, inputs))
    leaves = params.tensors
    grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    names = [name for name, grad in zip(leaves, grads, strict=True) if grad is None]
    model.train()
    if names:
        told = f"parameter{'s' if len(names) > 1 else ''} {', '.join(names)}"
        yield f"At step 1 no gradient reaches {told}: the loss does not depend on it."


def _augmented(
    augment: Mapping[str, Augment], spec: DataSpec, preprocessing: Preprocessing, batch: Batch
) -> Batch:
    """Return a batch as training changes it; raise ConfigError where that is no batch."""
    keys = preprocessing.keys([0], 1)
    for name, plugin in augment.items():
        inputs, targets = batch
        draws = Draws(keys[name], torch.arange(len(inputs), device=inputs.device))
        found: Any = copy.copy(plugin)(inputs.clone(), targets.clone(), draws, spec)
        if not isinstance(found, tuple | list) or len(found) != 2:
            refuse(plugin, "__call__", "a pair of inputs and targets", outline(found))
        _check_inputs(plugin, inputs, found[0])
        _check_targets(plugin, spec, targets, found[1])
        batch = found[0], found[1]
    return batch


def _check_inputs(augment: Augment, before: Tensor, found: Any) -> None:
    fits = isinstance(found, Tensor) and found.shape[:1] == before.shape[:1]
    if not fits or found.dtype != before.dtype:
        dtype = str(before.dtype).removeprefix("torch.")
        wanted = f"inputs of shape [{len(before)}, ...] and dtype {dtype}"
        refuse(augment, "__call__", wanted, outline(found))


def _check_targets(augment: Augment, spec: DataSpec, before: Tensor, found: Any) -> None:
    shapes = [before.shape]
    if augment.gives_shares and spec.task is Task.classification:
        shapes.append(torch.Size([len(before), len(spec.classes)]))
    if not isinstance(found, Tensor) or found.shape not in shapes:
        wanted = " or ".join(str([*shape]) for shape in shapes)
        refuse(augment, "__call__", f"targets of shape {wanted}", outline(found))


def _check_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    """Raise ConfigError where the loss of some items is no number, or has no gradient."""
    found: Any = copy.copy(loss)(outputs.detach().requires_grad_(), targets)
    if not isinstance(found, Tensor) or found.dim() or not found.is_floating_point():
        refuse(loss, "__call__", "a scalar, a 0-d floating-point tensor", outline(found))
    if not found.requires_grad:
        refuse(loss, "__call__", "a scalar that depends on the outputs", "one without a gradient")


def _check_metric(metric: Metric, outputs: Tensor, targets: Tensor) -> None:
    """Raise ConfigError where what a metric makes of some items is not what evaluation takes."""
    plugin, items = copy.copy(metric), len(outputs)
    parts = []
    for count in (items, max(1, items - 1)):
        found: Any = plugin.statistics(outputs[:count], targets[:count])
        if not isinstance(found, Tensor) or not found.dim() or found.is_complex():
            refuse(metric, "statistics", _VECTOR, outline(found))
        parts.append(found.cpu().double())
    whole, part = parts
    if type(metric).join is Metric.join and whole.shape != part.shape:
        wanted = f"as many numbers for {items - 1} items as for {items}"
        refuse(metric, "statistics", wanted, f"shapes {[*part.shape]} and {[*whole.shape]}")
    total: Any = plugin.join(whole, part)
    if not isinstance(total, Tensor) or not total.dim():
        refuse(metric, "join", _VECTOR, outline(total))
    try:
        value: Any = plugin.value(total)
    except Exception:  # it may be undefined for so few items, and is told where it counts
        return
    if not isinstance(value, Tensor) or value.dim():
        refuse(metric, "value", _SCALAR, outline(value))


def check_schedules(experiment: Experiment, *, total_steps: int, steps_per_epoch: int) -> None:
    """Raise ConfigError where a schedule's factors at the first steps are no finite numbers."""
    for schedule in (experiment.schedule, *experiment.schedules.values()):
        _check_schedule(schedule, total_steps, steps_per_epoch)


def _check_schedule(schedule: Schedule, total_steps: int, steps_per_epoch: int) -> None:
    scale = 1 if schedule.unit is Unit.step else steps_per_epoch
    per = scale if schedule.in_steps else 1
    begin = math.ceil(schedule.warmup * scale)  # steps of the warm-up
    steps = min(max(1, total_steps - begin), _STEPS)
    time = torch.arange(steps, dtype=torch.float64) * per / scale
    left = max(total_steps / scale - schedule.warmup, 1e-12) * per
    plugin = filled(schedule, numbers([schedule], time.device))
    found: Any = plugin.factor(time, time.new_tensor(left))
    if isinstance(found, int | float):
        found = time.new_tensor(found)
    if not isinstance(found, Tensor) or found.shape not in {time.shape, torch.Size()}:
        wanted = f"a number for each time, a tensor of shape {[*time.shape]}"
        refuse(schedule, "factor", wanted, outline(found))
    wrong = (~found.expand_as(time).isfinite()).nonzero()
    if len(wrong) and begin < total_steps:
        step = int(wrong[0])
        value = found.expand_as(time)[step].item()
        refuse(schedule, "factor", "finite numbers", f"{value} for step {begin + step + 1}")
