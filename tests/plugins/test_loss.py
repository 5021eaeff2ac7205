"""Each loss: against torch.nn.functional, chosen by task, and with numbers that differ by lane."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from problems import CPU, labels, numbers, spec
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from experiments import ClassWeights, ConfigError, Loss, Task, lookup
from experiments.rules.numbers import filled
from experiments.rules.numbers import numbers as tensors_of

LOGITS, CLASSES = 3 * numbers(16, 5), labels(16, 5)
PREDS, VALUES = 2 * numbers(16, 1, seed=1), 2 * numbers(16, seed=2)


def loss(name: str, **fields: Any) -> Any:
    return lookup("loss", name)(**fields)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_equals_torch(smoothing: float) -> None:
    value = loss("cross_entropy", label_smoothing=smoothing)(LOGITS, CLASSES)
    torch.testing.assert_close(
        value, functional.cross_entropy(LOGITS, CLASSES, label_smoothing=smoothing)
    )


def test_cross_entropy_takes_logits_of_any_size() -> None:
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]])
    value = loss("cross_entropy")(logits, torch.tensor([0, 1]))
    assert value.item() == pytest.approx(1e4)


def test_cross_entropy_of_a_uniform_guess_is_the_logarithm_of_the_classes() -> None:
    value = loss("cross_entropy")(torch.zeros(4, 8), labels(4, 8))
    assert value.item() == pytest.approx(2.0794415)


COUNTS = (1, 20, 300, 5, 7)
SKEWED = replace(spec((4,), len(COUNTS)), counts=COUNTS)


def balanced_weights() -> Tensor:
    """Return the weights of scikit-learn."""
    classes = np.arange(len(COUNTS))
    found = compute_class_weight("balanced", classes=classes, y=classes.repeat(COUNTS))
    return torch.from_numpy(found)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_are_torchs_but_for_the_mean_over_items(smoothing: float) -> None:
    fields = {"label_smoothing": smoothing, "class_weights": ClassWeights.balanced}
    fitted = loss("cross_entropy", **fields).fit(SKEWED)
    wanted = functional.cross_entropy(
        LOGITS, CLASSES, balanced_weights(), label_smoothing=smoothing, reduction="sum"
    )
    torch.testing.assert_close(fitted(LOGITS, CLASSES), wanted / len(CLASSES))
    shares = functional.one_hot(CLASSES, len(COUNTS)).double()
    torch.testing.assert_close(fitted(LOGITS, shares), wanted / len(CLASSES))


def test_auto_takes_class_weights() -> None:
    fitted = loss("auto", class_weights=ClassWeights.balanced).fit(SKEWED)
    wanted = loss("cross_entropy", class_weights=ClassWeights.balanced).fit(SKEWED)
    assert fitted(LOGITS, CLASSES) == wanted(LOGITS, CLASSES)


@pytest.mark.parametrize(("label", "weight"), [(0, 2 / 3), (1, 4 / 3)])
def test_a_class_that_does_not_occur_leaves_the_others_weights_alone(
    label: int, weight: float
) -> None:
    rare = replace(SKEWED, counts=(4, 2, 2, 0, 0))
    fitted = loss("auto", class_weights=ClassWeights.balanced).fit(rare)
    logits, target = LOGITS[:1], torch.tensor([label])
    torch.testing.assert_close(
        fitted(logits, target), weight * functional.cross_entropy(logits, target)
    )


def test_class_weights_need_classes_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"loss.class_weights=balanced: .* item by item"):
        loss("cross_entropy", class_weights=ClassWeights.balanced).fit(spec((4,), 3))
    with pytest.raises(ConfigError, match="task regression has no classes"):
        loss("auto", class_weights=ClassWeights.balanced).fit(spec((4,)))


@pytest.mark.parametrize("margin", [0.3, 1.0, 4.0])
def test_hinge_equals_torch(margin: float) -> None:
    value = loss("hinge", margin=margin)(LOGITS, CLASSES)
    torch.testing.assert_close(value, functional.multi_margin_loss(LOGITS, CLASSES, margin=margin))


def test_mse_equals_torch() -> None:
    torch.testing.assert_close(loss("mse")(PREDS, VALUES), functional.mse_loss(PREDS[:, 0], VALUES))


def test_l1_equals_torch() -> None:
    torch.testing.assert_close(loss("l1")(PREDS, VALUES), functional.l1_loss(PREDS[:, 0], VALUES))


@pytest.mark.parametrize("delta", [0.1, 1.0, 50.0])
def test_huber_equals_torch(delta: float) -> None:
    value = loss("huber", delta=delta)(PREDS, VALUES)
    torch.testing.assert_close(value, functional.huber_loss(PREDS[:, 0], VALUES, delta=delta))


GRADIENTS = {
    "cross_entropy": lambda o: functional.cross_entropy(o, CLASSES),
    "hinge": lambda o: functional.multi_margin_loss(o, CLASSES),
    "mse": lambda o: functional.mse_loss(o[:, 0], VALUES),
    "l1": lambda o: functional.l1_loss(o[:, 0], VALUES),
    "huber": lambda o: functional.huber_loss(o[:, 0], VALUES),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_equal_torchs(name: str) -> None:
    plugin = loss(name)
    classifies = Task.classification in plugin.tasks
    outputs = (LOGITS if classifies else PREDS).clone().requires_grad_()
    (ours,) = torch.autograd.grad(plugin(outputs, CLASSES if classifies else VALUES), outputs)
    (wanted,) = torch.autograd.grad(GRADIENTS[name](outputs), outputs)
    torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(
    ("name", "shape", "classes"), [("cross_entropy", (1, 8, 8), 10), ("mse", (4,), 0)]
)
def test_auto_takes_the_usual_loss_of_the_task(
    name: str, shape: tuple[int, ...], classes: int
) -> None:
    assert loss("auto").fit(spec(shape, classes)) == loss(name)


def test_auto_alone_is_no_loss() -> None:
    with pytest.raises(TypeError, match="fit"):
        loss("auto")(PREDS, VALUES)


def test_other_losses_fit_as_they_are() -> None:
    plugin = loss("huber", delta=2.0)
    assert plugin.fit(spec((4,))) is plugin


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("cross_entropy", "label_smoothing", [0.0, 0.1, 0.3]),
        ("hinge", "margin", [0.5, 1.0, 2.0]),
        ("huber", "delta", [0.1, 1.0, 3.0]),
    ],
)
def test_numbers_may_differ_by_lane(
    name: str, field: str, values: list[float], dtype: torch.dtype
) -> None:
    plugins: list[Loss] = [loss(name, **{field: value}) for value in values]
    classifies = Task.classification in plugins[0].tasks
    outputs = torch.stack([(LOGITS if classifies else PREDS) * k for k in (1, 2, 3)]).to(dtype)
    targets = torch.stack([CLASSES if classifies else VALUES] * 3)
    targets = targets if classifies else targets.to(dtype)

    def one(lane: dict[str, Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
        return filled(plugins[0], lane)(outputs, targets)

    together = vmap(one)(tensors_of(plugins, CPU), outputs, targets)
    alone = torch.stack([p(*pair) for p, *pair in zip(plugins, outputs, targets, strict=True)])
    torch.testing.assert_close(together.to(dtype), alone)
    assert len(set(together.tolist())) == 3


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
@pytest.mark.parametrize("shape", [(16,), (16, 1), (16, 3)])
def test_a_regression_compares_each_target_with_its_own_output(
    name: str, shape: tuple[int, ...]
) -> None:
    targets = numbers(*shape)
    assert loss(name)(targets.reshape(16, -1), targets) == 0


def test_class_weights_that_a_program_has_traced_are_numbers_afterwards() -> None:
    fitted = loss("auto", class_weights=ClassWeights.balanced).fit(SKEWED)
    trace = make_fx(fitted, tracing_mode="fake", _allow_non_fake_inputs=True)
    trace(LOGITS.float(), CLASSES)
    assert fitted(LOGITS.float(), CLASSES).item() > 0
