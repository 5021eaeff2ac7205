"""What every registered plugin keeps to; a new plugin is tested by being there."""

import inspect
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.func import vmap

from experiments import (
    ConfigError,
    DataSpec,
    Device,
    Loss,
    Metric,
    Model,
    Network,
    Optimizer,
    Schedule,
    Task,
    Transform,
    plugins,
)
from experiments.plugin.kinds import Plugin
from experiments.plugin.registry import KINDS
from experiments.plugin.rulepart import RulePart
from experiments.plugin.spec import Parameter, Scope, State
from experiments.rules.numbers import filled, numbers

ALL = [(kind, name) for kind in KINDS for name in plugins(kind)]
LAYOUT = [
    Parameter("weights", torch.Size([4, 2]), 0, "weight"),
    Parameter("bias", torch.Size([2]), 8, "bias"),
]
CPU = torch.device("cpu")
IMAGES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]


def made(kind: str, name: str) -> Any:
    if name == "route":
        pytest.skip("it consists of other rules, and is nothing without them")
    return plugins(kind)[name]()


def of(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", list(plugins(kind)))


class Bowl:
    """A batch whose loss is half the squared distance to a place."""

    def __init__(self, t: int, param: Tensor) -> None:
        self._centre = 0.1 * torch.arange(param.numel(), dtype=param.dtype).view(param.shape)
        self.t, self.value = t, self.loss(param)

    def loss(self, param: Tensor) -> Tensor:
        return self.gradient(param).square().sum() / 2

    def gradient(self, param: Tensor) -> Tensor:
        return param - self._centre

    def loss_and_gradient(self, param: Tensor) -> tuple[Tensor, Tensor]:
        return self.loss(param), self.gradient(param)

    def hvp(self, param: Tensor, vector: Tensor) -> Tensor:
        return vector

    def noise(self, like: Tensor) -> Tensor:
        return torch.ones_like(like)


def params_for(plugin: RulePart, lanes: int | None) -> Tensor:
    """Draw what a plugin sees at once: a vector, or a matrix; in lanes several of them."""
    if lanes and not plugin.in_lanes:
        pytest.skip("it says that it cannot be vectorized")
    shape = (5, 2) if plugin.scope is Scope.tensor else (10,)
    lead = (lanes,) if lanes else ()
    return torch.randn(*lead, *shape, generator=torch.Generator().manual_seed(0))


def looking(plugin: Any, values: Any, t: int, param: Tensor) -> Any:
    """Lend a plugin its numbers and a batch, as a run does."""
    own = filled(plugin, values)
    own.batch = Bowl(t, param)
    return own


def check_state(before: State, after: State) -> None:
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        assert tensor.dtype == before[name].dtype, name
        assert tensor.shape == before[name].shape, name
        assert tensor.isfinite().all(), name


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_plugin_is_documented_and_named_as_its_file(kind: str, name: str) -> None:
    plugin = plugins(kind)[name]
    text = inspect.getdoc(plugin)
    assert text is not None
    assert text.split("\n\n")[0].rstrip()[-1] in ".:"
    assert Path(inspect.getfile(plugin)).stem == name


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_plugin_survives_the_configuration(kind: str, name: str) -> None:
    cfg = OmegaConf.structured(plugins(kind)[name])
    if any(OmegaConf.is_missing(cfg, key) for key in cfg):
        pytest.skip("it has a setting without a default, which a user must give")
    wanted = made(kind, name)
    plugin = OmegaConf.to_object(cfg)
    assert isinstance(plugin, Plugin)
    assert plugin == wanted


@of("optimizer")
@pytest.mark.parametrize("lanes", [None, 3])
def test_a_rule_keeps_dtypes_shapes_and_its_arguments(name: str, lanes: int | None) -> None:
    rule: Optimizer = made("optimizer", name)
    param = params_for(rule, lanes)
    copy = param.clone()
    values = numbers([rule] * (lanes or 1), CPU)

    def init(values: Any, p: Tensor) -> State:
        return filled(rule, values).init(p)

    state = (vmap(init) if lanes else init)(values, param)
    for t in range(1, 4):
        time = torch.tensor(float(t), dtype=torch.float64)
        grad = Bowl(t, param[0] if lanes else param).gradient(param)
        grads = grad.clone()

        def update(values: Any, g: Tensor, p: Tensor, s: Any, t: int = t, at: Tensor = time) -> Any:
            return looking(rule, values, t, p).update(g, p, s, at)

        step, after = (vmap(update) if lanes else update)(values, grad, param, state)
        check_state(state, after)
        state = after
        assert step.dtype == torch.float32
        assert step.shape == param.shape
        assert step.isfinite().all()
        assert grad.equal(grads)
    assert param.equal(copy)


@of("transform")
@pytest.mark.parametrize("lanes", [None, 3])
def test_a_transform_keeps_dtypes_and_shapes(name: str, lanes: int | None) -> None:
    transform: Transform = made("transform", name)
    param = params_for(transform, lanes)
    values = numbers([transform] * (lanes or 1), CPU)
    lr = torch.full((lanes,) if lanes else (), 0.1, dtype=torch.float64)

    def every(values: Any, p: Tensor, lr: Tensor) -> tuple[list[Tensor], State, State]:
        own = looking(transform, values, 1, p)
        before = own.init(p, LAYOUT)
        grad, state = own.on_batch(own.batch.gradient(p), p, before)
        grad, state = own.on_gradient(grad, p, state)
        step, state = own.on_step(grad, p, state, lr)
        moved, state = own.on_params(p - step, state)
        return [grad, step, moved, own.evaluated(moved, state)], before, state

    results, before, state = (vmap(every) if lanes else every)(values, param, lr)
    check_state(before, state)
    for tensor in results:
        assert tensor.dtype == torch.float32
        assert tensor.shape == param.shape


@of("schedule")
def test_a_schedule_is_finite_and_not_negative_at_every_time(name: str) -> None:
    schedule: Schedule = made("schedule", name)
    schedule = filled(schedule, numbers([schedule], CPU))
    time = torch.linspace(0, 30, 301, dtype=torch.float64)
    factors = schedule.factor(time, torch.tensor(30.0, dtype=torch.float64))
    assert factors.shape == time.shape
    assert factors.isfinite().all()
    assert (factors >= 0).all()
    assert factors.max() <= 1 + 1e-12


def outputs_for(tasks: frozenset[Task]) -> tuple[DataSpec, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    if Task.classification in tasks:
        classes = tuple("abcdef")
        spec = DataSpec(input_shape=(4,), task=Task.classification, classes=classes)
        return spec, torch.randn(9, 6, generator=generator), torch.arange(9) % 6
    spec = DataSpec(input_shape=(4,), task=Task.regression)
    outputs, targets = torch.randn(2, 9, generator=generator)
    return spec, outputs[:, None], targets


@of("loss")
def test_a_loss_is_a_finite_scalar_with_a_gradient_in_lanes_too(name: str) -> None:
    loss: Loss = made("loss", name)
    spec, outputs, targets = outputs_for(loss.tasks)
    loss = loss.fit(spec)
    outputs.requires_grad_()
    value = loss(outputs, targets)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert outputs.grad.any()
    lanes = vmap(loss)(torch.stack([outputs] * 2), torch.stack([targets] * 2))  # type: ignore[arg-type]
    torch.testing.assert_close(lanes, value.expand(2))


@of("metric")
def test_a_metric_is_joined_over_batches(name: str) -> None:
    metric: Metric = made("metric", name)
    _, outputs, targets = outputs_for(metric.tasks)
    whole = metric.statistics(outputs, targets)
    pairs = zip(outputs.split(4), targets.split(4), strict=True)
    total = reduce(metric.join, [metric.statistics(o, t) for o, t in pairs])
    torch.testing.assert_close(total, whole)
    assert metric.value(whole.double()).shape == ()


@of("model")
@pytest.mark.parametrize("shape", [*IMAGES, (5,)])
def test_a_model_has_one_output_a_class_and_trains_every_parameter(
    name: str, shape: tuple[int, ...]
) -> None:
    model: Model = made("model", name)
    spec = DataSpec(input_shape=shape, task=Task.classification, classes=("a", "b", "c"))
    torch.manual_seed(0)
    try:
        network = model.build(spec)
    except ValueError as error:
        assert str(list(shape)) in str(error) or str(shape) in str(error)
        return
    inputs = torch.randn(4, *shape)
    if isinstance(network, Network):
        outputs, params = network.forward(network.tensors, inputs), list(network.tensors.values())
    else:
        assert isinstance(network, nn.Module)
        outputs, params = network(inputs), list(network.parameters())
    assert outputs.shape == (4, 3)
    outputs.square().sum().backward()
    assert all(p.requires_grad and p.grad is not None for p in params)


@of("device")
def test_a_device_is_there_or_says_what_is(name: str) -> None:
    device: Device = made("device", name)
    try:
        assert isinstance(device.find(), torch.device)
    except ConfigError as error:
        assert name in str(error)
        assert "Allowed: cpu" in str(error)
