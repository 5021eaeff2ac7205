"""How good a model is on a split, and what it predicts for single items."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from experiments.data.batches import Batches
from experiments.plugin.kinds import Metric
from experiments.plugin.spec import Tensors
from experiments.process import signals
from experiments.training.forward import Forward


@torch.no_grad()
def evaluate(
    model: Forward,
    tensors: Tensors,
    batches: Batches,
    *,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    metrics: Mapping[str, Metric],
) -> dict[str, float]:
    """Return the mean loss and every metric over one pass of a split."""
    losses = torch.zeros((), dtype=torch.float64)
    totals: dict[str, Tensor] = {}
    model.train(False)
    for inputs, targets in batches.in_order():
        signals.check()
        outputs = model(tensors, inputs)
        losses += loss_fn(outputs, targets).cpu() * len(targets)
        for name, metric in metrics.items():
            # Sums in float64, so that R2's differences of large numbers keep their digits.
            sums = metric.statistics(outputs, targets).cpu().double()
            totals[name] = totals[name] + sums if name in totals else sums
    model.train()
    values = {name: metric.value(totals[name]).item() for name, metric in metrics.items()}
    return {"loss": losses.item() / batches.size, **values}


@torch.no_grad()
def outputs_of(model: Forward, tensors: Tensors, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return the outputs [N, ...] and targets [N] of one pass of a split, on the CPU."""
    model.train(False)
    parts = [
        (model(tensors, inputs).cpu(), targets.cpu()) for inputs, targets in batches.in_order()
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
