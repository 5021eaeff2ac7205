"""Each metric: against torchmetrics, and the same however its items are divided into batches."""

import math
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import labels, numbers
from sklearn.metrics import r2_score
from torch import Tensor

from experiments import Metric, Task, lookup, plugins

COUNT, CLASSES = 60, 6


def reference() -> Any:
    """Import torchmetrics, which takes seconds, where a test compares with it."""
    from torchmetrics import functional

    return functional


def metric(name: str, **fields: Any) -> Any:
    return lookup("metric", name)(**fields)


def data(task: Task) -> tuple[Tensor, Tensor]:
    if task is Task.classification:
        targets = labels(COUNT, CLASSES)
        logits = numbers(COUNT, CLASSES, dtype=torch.float32)
        return logits + torch.nn.functional.one_hot(targets, CLASSES), targets
    targets = numbers(COUNT, seed=1, dtype=torch.float32) * 3 + 5
    return targets[:, None] + numbers(COUNT, 1, seed=2, dtype=torch.float32), targets


def value_of(plugin: Metric, outputs: Tensor, targets: Tensor, sizes: list[int]) -> float:
    """Return the metric of batches of the given sizes, joined as the evaluation joins them."""
    parts = zip(outputs.split(sizes), targets.split(sizes), strict=True)
    statistics = [plugin.statistics(*part).double() for part in parts]
    return plugin.value(reduce(plugin.join, statistics)).item()


REFERENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "accuracy": lambda o, t: reference().accuracy(o, t, task="multiclass", num_classes=CLASSES),
    "f1": lambda o, t: reference().f1_score(
        o, t, task="multiclass", num_classes=CLASSES, average="macro"
    ),
    "top_k": lambda o, t: reference().accuracy(
        o, t, task="multiclass", num_classes=CLASSES, top_k=5, average="micro"
    ),
    "mae": lambda o, t: reference().mean_absolute_error(o[:, 0], t),
    "r2": lambda o, t: reference().r2_score(o[:, 0], t),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_metric_equals_torchmetrics(name: str) -> None:
    plugin = metric(name)
    outputs, targets = data(*plugin.tasks)
    value = value_of(plugin, outputs, targets, [COUNT])
    assert value == pytest.approx(REFERENCES[name](outputs, targets).item(), rel=1e-5)
    assert 0 < value < 1


@pytest.mark.parametrize("k", [1, 2, 3, 6, 50])
def test_top_k_equals_torchmetrics_for_any_k(k: int) -> None:
    outputs, targets = data(Task.classification)
    wanted = reference().accuracy(
        outputs,
        targets,
        task="multiclass",
        num_classes=CLASSES,
        top_k=min(k, CLASSES),
        average="micro",
    )
    value = value_of(metric("top_k", k=k), outputs, targets, [COUNT])
    assert value == pytest.approx(wanted.item())


def test_top_1_is_accuracy() -> None:
    outputs, targets = data(Task.classification)
    top = value_of(metric("top_k", k=1), outputs, targets, [COUNT])
    assert top == value_of(metric("accuracy"), outputs, targets, [COUNT])


def test_f1_leaves_out_classes_that_never_occur() -> None:
    outputs, targets = data(Task.classification)
    targets = targets.clamp(max=2)
    outputs[:, 3:] = -math.inf
    wanted = REFERENCES["f1"](outputs, targets)
    assert value_of(metric("f1"), outputs, targets, [COUNT]) == pytest.approx(wanted.item())


def test_r2_keeps_its_digits_where_targets_lie_far_from_0() -> None:
    outputs, targets = data(Task.regression)
    far = value_of(metric("r2"), outputs + 4096, targets + 4096, [COUNT])
    wanted = reference().r2_score((outputs[:, 0] + 4096).double(), (targets + 4096).double())
    assert far == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("target", [0.0, 0.1, 1e8 + 0.1])
@pytest.mark.parametrize("error", [0.0, 0.5, 1e9])
@pytest.mark.parametrize("sizes", [[COUNT], [COUNT - 7, 7], [7] * 8 + [4]])
def test_r2_of_equal_targets_is_scikit_learns(
    target: float, error: float, sizes: list[int]
) -> None:
    targets = torch.full((COUNT,), target, dtype=torch.float64)
    outputs = targets[:, None] + error * torch.linspace(-1, 1, COUNT)[:, None]
    assert value_of(metric("r2"), outputs, targets, sizes) == (0 if error else 1)
    # In float32, as data sets give them: those of float64 have no exact mean in scikit-learn.
    outputs, targets = outputs.float(), targets.float()
    wanted = r2_score(targets.double(), outputs[:, 0].double())
    assert value_of(metric("r2"), outputs, targets, sizes) == wanted


@pytest.mark.parametrize("far", [0.0, 0.1, 1e8 + 0.1])
def test_r2_of_targets_that_differ_is_scikit_learns(far: float) -> None:
    outputs, targets = (values.double() + far for values in data(Task.regression))
    wanted = r2_score(targets, outputs[:, 0])
    for sizes in ([COUNT], [1] * COUNT, [COUNT - 7, 7]):
        assert value_of(metric("r2"), outputs, targets, sizes) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("output", [0.0, 1.0, math.inf])
def test_r2_of_one_item_is_undefined(output: float) -> None:
    value = value_of(metric("r2"), torch.full((1, 1), output), torch.ones(1), [1])
    assert math.isnan(value)
    assert metric("r2").least == 2


def test_r2_of_infinite_predictions_is_no_number() -> None:
    outputs, targets = data(Task.regression)
    outputs[3] = math.inf
    assert math.isnan(value_of(metric("r2"), outputs, targets, [COUNT]))


@pytest.mark.parametrize("sizes", [[COUNT], [COUNT - 7, 7], [1] * COUNT])
def test_several_targets_have_the_mean_of_their_values(sizes: list[int]) -> None:
    columns = [numbers(COUNT, seed=seed) for seed in range(4)]
    targets = torch.stack([columns[0], 100 * columns[1] + 3], dim=1)
    outputs = targets + torch.stack([columns[2], columns[3]], dim=1)
    wanted = r2_score(targets, outputs)
    assert value_of(metric("r2"), outputs, targets, sizes) == pytest.approx(wanted, rel=1e-9)
    mean = (outputs - targets).abs().mean().item()
    assert value_of(metric("mae"), outputs, targets, sizes) == pytest.approx(mean, rel=1e-9)


def test_r2_of_equal_targets_and_outputs_that_are_not_finite_is_not() -> None:
    assert math.isnan(value_of(metric("r2"), torch.full((4, 1), math.nan), torch.ones(4), [4]))


def test_perfect_predictions_have_the_best_value() -> None:
    targets = numbers(COUNT, dtype=torch.float32)
    assert value_of(metric("r2"), targets[:, None], targets, [COUNT]) == 1
    assert value_of(metric("mae"), targets[:, None], targets, [COUNT]) == 0
    classes = labels(COUNT, CLASSES)
    logits = torch.nn.functional.one_hot(classes, CLASSES).float()
    for name in ("accuracy", "f1", "top_k"):
        assert value_of(metric(name), logits, classes, [COUNT]) == 1


def test_the_mean_of_the_targets_explains_nothing() -> None:
    targets = numbers(COUNT, dtype=torch.float32)
    value = value_of(metric("r2"), targets.mean().expand(COUNT, 1), targets, [COUNT])
    assert value == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", plugins("metric"))
@given(cuts=st.sets(st.integers(1, COUNT - 1)))
def test_any_division_into_batches_gives_the_same_value(name: str, cuts: set[int]) -> None:
    plugin = metric(name)
    outputs, targets = data(sorted(plugin.tasks, key=str)[0])
    ends = [0, *sorted(cuts), COUNT]
    sizes = [stop - start for start, stop in pairwise(ends)]
    divided = value_of(plugin, outputs, targets, sizes)
    assert divided == pytest.approx(value_of(plugin, outputs, targets, [COUNT]), rel=1e-5)
