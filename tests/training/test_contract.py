"""What a plugin returns is checked before the first step, and named where it is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from composed import SMALL, compose
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from experiments import (
    Augment,
    ConfigError,
    DataSpec,
    Device,
    Loss,
    Metric,
    Model,
    Network,
    Schedule,
    Task,
    register,
)
from experiments.training.session import Session, prepare

CLASSES = [*SMALL, "dataset.task=classification", "max_steps=8"]
Make = Callable[..., Any]


def prepared(*overrides: str) -> Session:
    return prepare(compose([*CLASSES, "tracking=none", *overrides]))


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        prepared(*overrides)
    told = str(caught.value)
    assert "\n" not in told
    assert "test_contract.py" in told
    return told


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (lambda loss: loss, "found a tensor of shape [3] and dtype float32"),
        (lambda loss: loss.sum().item(), "a 0-d floating-point tensor, found "),
        (lambda loss: loss.mean()[None], "found a tensor of shape [1]"),
        (lambda loss: loss.mean().long(), "dtype int64"),
        (lambda loss: loss.mean().detach(), "one without a gradient"),
        (lambda _: None, "found None"),
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_a_loss_is_a_scalar_with_a_gradient(returned: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Loss):
        tasks = frozenset(Task)

        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            result: Tensor = returned(cross_entropy(outputs, targets, reduction="none"))
            return result

    message = refusal("loss=wrong")
    assert message.startswith("loss=wrong (")
    assert told in message


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("statistics", "value", "told"),
    [
        (lambda hits: hits, lambda total: total.mean(), "as many numbers for 2 items as for 3"),
        (lambda hits: hits.sum(), lambda total: total, "or several, found a tensor of shape []"),
        (lambda hits: hits.sum().item(), lambda total: total, "of statistics() a vector"),
        (lambda hits: hits.sum()[None], lambda total: total, "found a tensor of shape [1]"),
        (lambda hits: hits.sum()[None], lambda total: total.item(), "of value() a scalar"),
    ],
)
def test_a_metric_has_a_vector_and_a_scalar(statistics: Make, value: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Metric):
        tasks = frozenset(Task)

        def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
            result: Tensor = statistics((outputs.argmax(-1) == targets).float())
            return result

        def value(self, total: Tensor) -> Tensor:
            result: Tensor = value(total)
            return result

    assert told in refusal("metric=[wrong]")


@pytest.mark.usefixtures("own_registry")
def test_a_metric_may_join_in_its_own_way_and_be_undefined_for_few() -> None:
    @register("median")
    class Median(Metric):
        tasks = frozenset(Task)

        def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs[:, 0]

        def join(self, total: Tensor, batch: Tensor) -> Tensor:
            return torch.cat([total, batch])

        def value(self, total: Tensor) -> Tensor:
            if len(total) < 10:
                raise ValueError("too few")
            return total.median()

    assert "median" in prepared("metric=[median]").metrics


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda inputs, _: inputs, "a pair of inputs and targets, found a tensor"),
        (lambda inputs, targets: (inputs.half(), targets), "dtype float32, found a tensor"),
        (lambda inputs, targets: (inputs[1:], targets[1:]), "inputs of shape [3, ...]"),
        (lambda inputs, targets: (inputs, targets[1:]), "targets of shape [3], found a tensor"),
        (lambda inputs, targets: (inputs, one_hot(targets, 3)), "targets of shape [3], found"),
        (lambda inputs, _: (inputs, None), "targets of shape [3], found None"),
    ],
)
def test_an_augmentation_returns_a_batch(changed: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Augment):
        def __call__(
            self, inputs: Tensor, targets: Tensor, draws: Any, spec: DataSpec
        ) -> tuple[Tensor, Tensor]:
            result: tuple[Tensor, Tensor] = changed(inputs, targets)
            return result

    message = refusal("augment=[wrong]")
    assert message.startswith("augment=wrong (")
    assert told in message


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (lambda _: None, "found None"),
        (lambda time: time[1:], "a tensor of shape [8], found a tensor of shape [7]"),
        (lambda time: time[:, None], "found a tensor of shape [8, 1]"),
        (lambda time: time / 0, "finite numbers, found nan for step 1"),
        (lambda time: 1 / (time - 1), "finite numbers, found inf for step 3"),
        (lambda _: 0.5, ""),
        (lambda _: torch.tensor(0.5), ""),
    ],
)
def test_a_schedule_gives_a_finite_number_for_each_time(factor: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Schedule):
        def factor(self, time: Tensor, total: Tensor) -> Tensor:
            result: Tensor = factor(time)
            return result

    if told:
        message = refusal("schedule=wrong")
        assert message.startswith("schedule=wrong (")
        assert told in message
    else:
        session = prepared("schedule=wrong", "optimizer.lr=0.4")
        assert session.rule.clock(1)[1]["lr"].item() == 0.2


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("network", "told"),
    [
        (lambda _: None, "an nn.Module or a Network, found None"),
        (lambda _: nn.Linear, "an nn.Module or a Network, found a type"),
        (lambda _: nn.Flatten(), "parameters to train, tensors by name"),
        (lambda _: nn.LazyLinear(3), "a tensor as parameter 'weight', found one whose shape"),
        (lambda layer: Network([layer.weight], layer), "found a list of 1"),
        (lambda layer: Network({"w": layer.weight}, None), "a Network with a function, found"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_model_builds_a_network(network: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Model):
        def build(self, spec: DataSpec) -> nn.Module | Network:
            built: nn.Module = network(nn.Linear(spec.features, spec.outputs))
            return built

    message = refusal("model=wrong")
    assert message.startswith("model=wrong (")
    assert "expected of build() " in message
    assert told in message


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (lambda outputs: (outputs, 1), "expected outputs of shape [3, 3], found a tuple of 2."),
        (lambda outputs: outputs.detach(), "no parameter of it decides its outputs."),
    ],
)
def test_a_networks_outputs_are_one_tensor_of_its_parameters(outputs: Make, told: str) -> None:
    @register("wrong")
    class Wrong(Model):
        def build(self, spec: DataSpec) -> Network:
            weight = torch.zeros(spec.features, spec.outputs)
            return Network({"w": weight}, lambda own, inputs: outputs(inputs @ own["w"]))

    with pytest.raises(ConfigError, match="model=wrong does not fit dataset=synthetic: ") as caught:
        prepared("model=wrong")
    assert str(caught.value).endswith(told)


@pytest.mark.usefixtures("own_registry")
def test_a_device_is_one_of_torchs() -> None:
    @register("wrong")
    class Wrong(Device):
        def find(self) -> torch.device:
            return "cpu"  # type: ignore[return-value]

    assert "expected of find() a torch.device, found 'cpu'" in refusal("device=wrong")


@pytest.mark.usefixtures("own_registry")
def test_a_loss_that_fits_no_task_and_no_loss_are_told() -> None:
    @register("taskless")
    class Taskless(Loss):
        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.mean()

    @register("unfit")
    class Unfit(Loss):
        tasks = frozenset(Task)

        def fit(self, spec: DataSpec) -> Loss:
            return nn.MSELoss()  # type: ignore[return-value]

        def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return outputs.mean()

    with pytest.raises(ConfigError, match="loss=taskless: its class does not say for what it is"):
        prepared("loss=taskless")
    assert "expected of fit() a loss, found a MSELoss" in refusal("loss=unfit")


@pytest.mark.usefixtures("own_registry")
def test_a_parameter_that_no_gradient_reaches_is_named() -> None:
    @register("idle")
    class Idle(Model):
        def build(self, spec: DataSpec) -> nn.Module:
            network = nn.Sequential(nn.Flatten(), nn.Linear(spec.features, spec.outputs))
            network.register_parameter("idle", nn.Parameter(torch.ones(3)))
            return network

    session = prepared("model=idle")
    assert "At step 1 no gradient reaches parameter idle: the loss does not depend on it." in (
        session.doubts
    )
    assert not any("reaches" in doubt for doubt in prepared("model=mlp").doubts)
