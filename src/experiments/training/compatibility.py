"""What of an experiment fits its data: loss, metrics and augmentations, or why it does not."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from torch import Tensor

from experiments.data.batches import Batches
from experiments.data.doubts import targets_of
from experiments.errors import ConfigError, options
from experiments.plugin import failure, registry, rulepart
from experiments.plugin.bounds import LARGEST
from experiments.plugin.kinds import Augment, Loss, Metric, Plugin
from experiments.plugin.spec import DataSpec, Precision, Sampling, Splits, Task
from experiments.rules.returned import has_own
from experiments.settings import Experiment


def loss_for(experiment: Experiment, spec: DataSpec) -> Loss:
    """Return the loss for the task of the data; raise ConfigError where it is of another."""
    loss: Any = experiment.loss.fit(spec)
    if not isinstance(loss, Loss):
        failure.refuse(experiment.loss, "fit", "a loss", failure.outline(loss))
    if spec.task not in _tasks(loss):
        raise ConfigError(_misfit("loss", loss, experiment, spec.task))
    return loss


def metrics_for(experiment: Experiment, spec: DataSpec) -> dict[str, Metric]:
    """Return the metrics asked for, or the task's usual ones; raise ConfigError for others'."""
    for metric in experiment.metric.values():
        if spec.task not in _tasks(metric):
            raise ConfigError(_misfit("metric", metric, experiment, spec.task))
    usual = {
        name: cls()
        for name, cls in registry.plugins("metric").items()
        if issubclass(cls, Metric) and cls.default and spec.task in cls.tasks
    }
    return experiment.metric or usual


def _tasks(plugin: Loss | Metric) -> frozenset[Task]:
    tasks: frozenset[Task] | None = getattr(plugin, "tasks", None)
    if tasks is None:
        name = f"{registry.kind_of(type(plugin))}={registry.name_of(type(plugin))}"
        raise ConfigError(f"{name}: its class does not say for what it is: tasks = frozenset(Task)")
    return tasks


def _misfit(kind: str, plugin: Plugin, experiment: Experiment, task: Task) -> str:
    plugins = registry.plugins(kind)
    fitting = [name for name, cls in plugins.items() if task in getattr(cls, "tasks", ())]
    name, dataset = registry.name_of(type(plugin)), registry.name_of(type(experiment.dataset))
    return (
        f"{kind}={name} does not fit dataset={dataset}, whose task is {task.name}; "
        f"{options(name, fitting)}"
    )


def monitored(
    asked: str | None, metrics: Mapping[str, Metric], items: int = LARGEST
) -> tuple[str, bool]:
    """Return the metric that says what is best of so many val items, and whether higher is.

    Raises ConfigError where there is no such metric, or it is undefined for so few.
    """
    least = {f"val/{name}": metric.least for name, metric in metrics.items()} | {"val/loss": 1}
    better = {f"val/{name}": m.higher_is_better for name, m in metrics.items() if m.least <= items}
    better["val/loss"] = False
    name = next(iter(better)) if asked is None else asked
    if name not in better:
        lack = f"it takes {least[name]} items, and val has {items}" if name in least else ""
        reason = lack or "there is no such metric"
        raise ConfigError(f"monitor={name}: {reason}; {options(name, better)}")
    return name, better[name]


def undefined(metrics: Mapping[str, Metric], batches: Mapping[str, Batches]) -> Iterator[str]:
    """Yield which metrics are undefined for a val or test split of so few items."""
    for split in ("val", "test"):
        items = batches[split].size
        for name, metric in metrics.items():
            if items < metric.least:
                yield f"{split}/{name} is NaN: it takes {metric.least} items, {split} has {items}."


def augmentations_for(experiment: Experiment, spec: DataSpec, loss: Loss) -> dict[str, Augment]:
    """Return the augmentations; raise ConfigError where one fits not the data, or not the loss."""
    for name, augment in experiment.augment.items():
        if augment.gives_shares and spec.task is Task.classification and not loss.takes_shares:
            able = [n for n, cls in registry.plugins("loss").items() if _takes_shares(cls)]
            own = registry.name_of(type(loss))
            raise ConfigError(
                f"loss={own} does not fit augment={name}, which mixes classes; {options(own, able)}"
            )
        try:
            augment.check(spec)
        except ValueError as error:
            dataset = registry.name_of(type(experiment.dataset))
            told = failure.reason(error)
            raise ConfigError(f"augment={name} does not fit dataset={dataset}: {told}.") from error
    return experiment.augment


def check_rule(experiment: Experiment, items: int) -> None:
    """Raise ConfigError where the parts of a rule do not fit each other, or `items` to train on."""
    _check_batches(experiment, items)
    rules = [one for one in rulepart.within(experiment.optimizer) if has_own(one, "evaluated")]
    for name in (n for n, own in experiment.transform.items() if has_own(own, "evaluated")):
        for own in rules:
            raise ConfigError(
                f"transform={name}: the model is evaluated where it says, and "
                f"optimizer={registry.name_of(type(own))} says where, too; leave one out."
            )


def _check_batches(experiment: Experiment, items: int) -> None:
    """Raise ConfigError where a rule must see all of the train split's items at each step."""
    seen = experiment.batch_size * experiment.accumulate
    sampling, augment = experiment.data.sampling, ",".join(experiment.augment)
    parts = [experiment.optimizer, *experiment.transform.values()]
    changes = {
        f"batch_size={experiment.batch_size}": seen < items,
        f"data.sampling={sampling.name}": sampling is not Sampling.uniform,
        f"augment=[{augment}]": bool(augment),
    }
    for plugin in (one for part in parts for one in rulepart.within(part) if one.full_batch):
        name = f"{registry.kind_of(type(plugin))}={registry.name_of(type(plugin))}"
        for setting in (setting for setting, is_so in changes.items() if is_so):
            raise ConfigError(
                f"{setting}: {name} needs the same batch at each step, all {items} items of train "
                f"as they are; give batch_size={items}, and neither sampling nor augmentations."
            )


def too_late(experiment: Experiment, total_steps: int) -> Iterator[str]:
    """Yield which steps that a setting waits for never come in a run of so many."""
    transforms = {f"transform.{name}": own for name, own in experiment.transform.items()}
    for key, part in {"optimizer": experiment.optimizer, **transforms}.items():
        for field in fields(part):
            first = getattr(part, field.name)
            if field.metadata.get("first_step") and first > total_steps:
                yield (
                    f"{key}.{field.name}={first} does nothing in a run of {total_steps} steps; "
                    f"give at most {total_steps}."
                )
    every = experiment.diagnostics.every
    if every is not None and every > total_steps:
        yield f"diagnostics.every={every} measures nothing in a run of {total_steps} steps."


def check_diagnostics(experiment: Experiment) -> None:
    """Raise ConfigError where diagnostics are asked for that cannot be."""
    settings, seen = experiment.diagnostics, experiment.batch_size * experiment.accumulate
    more = [name for name in ("noise_scale", "sharpness") if getattr(settings, name)]
    wrong = ""
    if settings.every is None and more:
        wrong = f"{more[0]}=true: nothing is measured without diagnostics.every; give it a number"
    elif more and experiment.device.precision is Precision.fp16:
        wrong = (
            f"{more[0]}=true looks again at a batch, which device.precision=fp16 forbids; use bf16"
        )
    elif settings.noise_scale and seen == 1:
        wrong = "noise_scale=true compares two halves of a batch; give a batch_size of 2 or more"
    if wrong:
        raise ConfigError(f"diagnostics.{wrong}.")


def sampling_for(experiment: Experiment, splits: Splits) -> Tensor | None:
    """Return the chance of each train item [N] to be drawn, or None where all have the same.

    Raises ConfigError where there are no classes to balance, or they are not known beforehand.
    """
    if experiment.data.sampling is Sampling.uniform:
        return None
    targets = targets_of(splits.train, splits.spec)
    if targets is None or splits.spec.task is not Task.classification:
        lack = "has no classes" if targets is not None else "gives its classes only item by item"
        name = registry.name_of(type(experiment.dataset))
        raise ConfigError(f"data.sampling=balanced: dataset={name} {lack}; Allowed: uniform.")
    return 1 / targets.bincount()[targets]


def _takes_shares(plugin: type[Plugin]) -> bool:
    return issubclass(plugin, Loss) and plugin.takes_shares
