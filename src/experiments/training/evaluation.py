"""How good a model is on a split, and what it predicts for single items."""

from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from experiments.data.batches import Batches
from experiments.data.doubts import targets_of
from experiments.plugin.spec import Task, Tensors
from experiments.process import signals
from experiments.rules.chain import Memory
from experiments.training.forward import Forward
from experiments.training.session import Session

_CALIBRATION = 50  # batches that running statistics are computed of


@torch.no_grad()
def pointed(session: Session, state: Memory) -> Session:
    """Return the session at the parameters that its rule wants evaluated: mostly it is the same.

    Elsewhere running statistics are those of the first batches of training (Izmailov et al., 2018).
    """
    rule, params = session.rule, session.params
    if not rule.is_elsewhere:
        return session
    params = params.over(rule.point(params.vector, state).clone())
    model = session.model.aside()
    if model.has_statistics:
        devices = [session.device] if session.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            first = islice(session.batches["train"].epoch(1, session.seeds), _CALIBRATION)
            model = model.recalibrated(params.tensors, (inputs for inputs, _ in first))
    return replace(session, params=params, model=model)


@torch.no_grad()
def evaluate(session: Session, split: str) -> list[dict[str, float]]:
    """Return the mean loss and every metric of each run over one pass of a split."""
    axis, batches = session.axis, session.batches[split]
    losses = torch.zeros(axis.count, dtype=torch.float64)
    totals: Tensors = {}
    statistics = {name: axis.map(m.statistics) for name, m in session.metrics.items()}
    session.model.train(False)
    for inputs, targets in batches.in_order():
        signals.check()
        outputs, same = session.model.on_same(session.params.tensors, inputs), axis.same(targets)
        losses += session.loss_fn(outputs, same).cpu() * len(targets)
        outputs, same = (
            batches.preprocessing.in_units(outputs),
            batches.preprocessing.in_units(same),
        )
        for name, sums_of in statistics.items():
            sums = sums_of(outputs, same).cpu().double()
            join = axis.map(session.metrics[name].join)
            totals[name] = join(totals[name], sums) if name in totals else sums
    session.model.train()
    values = {f"{split}/loss": (losses / batches.size).tolist()}
    for name, metric in session.metrics.items():
        values[f"{split}/{name}"] = axis.values(axis.map(metric.value)(totals[name]))
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def without_inputs(session: Session) -> tuple[str, float] | None:
    """Return the best answer that looks at no input, and what the monitored metric is for it.

    It is train's largest class, or the mean of its targets. None where a loss is monitored, targets
    are known only item by item, or outputs are no answers.
    """
    spec, metric = session.splits.spec, session.metrics.get(session.monitor.removeprefix("val/"))
    train, val = (targets_of(part, spec) for part in (session.splits.train, session.splits.val))
    if metric is None or train is None or val is None or spec.task is Task.objective:
        return None
    if spec.task is Task.classification:
        largest = int(train.bincount().argmax())
        answer, told = torch.eye(len(spec.classes))[largest], f"'{spec.classes[largest]}'"
    else:
        answer, told = train.double().mean(0).reshape(-1), "the mean of the targets"
        val = val.double()
    outputs = answer.expand(len(val), -1)
    return told, metric.value(metric.statistics(outputs, val).double()).item()


@torch.no_grad()
def outputs_of(model: Forward, tensors: Tensors, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return the outputs [N, ...] and targets [N] of one pass of a split, on the CPU.

    Those of a regression are in the data's own units.
    """
    in_units = batches.preprocessing.in_units
    model.train(False)
    parts = [
        (in_units(model(tensors, inputs)).cpu(), in_units(targets).cpu())
        for inputs, targets in batches.in_order()
    ]
    model.train()
    outputs, targets = zip(*parts, strict=True)
    return torch.cat(outputs), torch.cat(targets)


@torch.no_grad()
def predict_item(model: Forward, tensors: Tensors, item: Tensor) -> Tensor:
    """Return the output [...] for one normalised item: a batch of one, taken apart again."""
    model.train(False)
    output = model(tensors, item.unsqueeze(0)).squeeze(0)
    model.train()
    return output
