"""Scaled losses: steps as without a scale, none where a gradient overflows, and a fitting scale."""

import math
from typing import Any

import pytest
import torch
from composed import compose, execute
from problems import CPU, numbers, params_of, tensors_only
from torch import Tensor

from experiments import Network, Optimizer, Transform, lookup, plugins
from experiments.plugin.spec import Precision
from experiments.rules import lossscale
from experiments.rules.chain import Memory
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.runs.result import Result
from experiments.runs.tracker import InMemory
from experiments.training.forward import Forward
from experiments.training.loop import descend
from experiments.training.session import prepare

FIRST = 2.0**16
PATIENCE = 2000
PLAIN = {name for name, own in plugins("optimizer").items() if not own.needs} - {"route"}
every_rule = pytest.mark.parametrize("name", sorted(PLAIN))


def params(seed: int = 0) -> Params:
    tensors = {"weights": numbers(3, 4, seed=seed), "more": numbers(3, 1, seed=seed + 1)}
    return params_of([tensors_only(**tensors)], torch.float32)


def rule(over: Params, name: str, *, scaled: bool, transforms: tuple[str, ...] = ()) -> Rule:
    optimizer = lookup("optimizer", name)(lr=0.1)  # type: ignore[call-arg]
    assert isinstance(optimizer, Optimizer)
    found = {key: lookup("transform", key)() for key in transforms}
    chains = {key: [plugin] for key, plugin in found.items() if isinstance(plugin, Transform)}
    return Rule(over, [optimizer], chains, {}, total_steps=50, steps_per_epoch=10, scaled=scaled)


def gradient(t: int, over: Params) -> Tensor:
    return numbers(len(over.vector), seed=t, dtype=torch.float32)


def after_some_steps(over: Params, made: Rule, count: int = 3) -> Memory:
    """Take steps, and return a memory that is not the first."""
    state = made.init(over.vector)
    for t in range(1, count + 1):
        scale = state[lossscale.KEY]["scale"]
        change, state = made.step(scale * gradient(t, over), over.vector, state, t)
        over.vector.sub_(change)
    return state


def values(state: Memory) -> dict[str, Tensor]:
    """Return copies of a memory's tensors, but for those of the scale."""
    return {
        f"{name}/{key}": tensor.clone()
        for name, memory in state.items()
        for key, tensor in memory.items()
        if name != lossscale.KEY
    }


def scale(state: Memory) -> tuple[float, float]:
    found = state[lossscale.KEY]
    return found["scale"].item(), found["steps"].item()


@every_rule
@pytest.mark.parametrize("transforms", [(), ("clip_norm", "weight_decay")])
def test_finite_gradients_give_the_steps_of_the_unscaled_rule(
    name: str, transforms: tuple[str, ...]
) -> None:
    plain, scaled = params(), params()
    one = rule(plain, name, scaled=False, transforms=transforms)
    two = rule(scaled, name, scaled=True, transforms=transforms)
    state, memory = one.init(plain.vector), two.init(scaled.vector)
    for t in range(1, 8):
        wanted, state = one.step(gradient(t, plain), plain.vector, state, t)
        found, memory = two.step(FIRST * gradient(t, scaled), scaled.vector, memory, t)
        assert found.equal(wanted)  # the scale is a power of 2, so that nothing is rounded
        assert wanted.any() or (name == "adopt" and t == 1)  # which sets its memory alone
        plain.vector.sub_(wanted)
        scaled.vector.sub_(found)
    kept, same = values(memory), values(state)
    assert kept.keys() == same.keys()
    assert all(kept[key].equal(same[key]) for key in same)
    assert scale(memory) == (FIRST, 7)


@every_rule
@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("transforms", [(), ("clip_norm", "weight_decay")])
def test_a_gradient_that_overflows_changes_nothing_but_the_scale(
    wrong: float, name: str, transforms: tuple[str, ...]
) -> None:
    over = params()
    made = rule(over, name, scaled=True, transforms=transforms)
    state = after_some_steps(over, made)
    before = values(state)
    grads = FIRST * gradient(4, over)
    grads[5] = wrong
    change, state = made.step(grads, over.vector, state, 4)
    assert change.equal(torch.zeros_like(over.vector))
    after = values(state)
    assert after.keys() == before.keys()
    assert all(after[key].equal(before[key]) for key in before)
    assert scale(state) == (FIRST / 2, 0)


def test_a_sum_that_overflows_leaves_out_no_step() -> None:
    over = params()
    made = rule(over, "sgd", scaled=True)
    grads = torch.full_like(over.vector, 3e38)
    assert not grads.sum().isfinite()
    change, state = made.step(grads, over.vector, made.init(over.vector), 1)
    assert change.equal(torch.full_like(over.vector, 3e38) / FIRST * 0.1)
    assert scale(state) == (FIRST, 1)


@pytest.mark.parametrize(
    ("steps", "finite", "wanted"),
    [
        (PATIENCE - 2, True, (FIRST, PATIENCE - 1)),
        (PATIENCE - 1, True, (2 * FIRST, 0)),
        (PATIENCE - 1, False, (FIRST / 2, 0)),
    ],
)
def test_the_scale_is_doubled_after_enough_good_steps_in_a_row(
    steps: int, finite: bool, wanted: tuple[float, float]
) -> None:
    over = params()
    made = rule(over, "momentum", scaled=True)
    state = made.init(over.vector)
    assert scale(state) == (FIRST, 0)
    state[lossscale.KEY]["steps"] = torch.tensor(float(steps))
    grads = FIRST * gradient(1, over) if finite else torch.full_like(over.vector, math.inf)
    change, state = made.step(grads, over.vector, state, 1)
    assert scale(state) == wanted
    assert bool(change.any()) is finite


def test_steps_are_of_the_same_size_under_another_scale() -> None:
    over = params()
    made = rule(over, "sgd", scaled=True)
    state = made.init(over.vector)
    state[lossscale.KEY]["steps"] = torch.tensor(PATIENCE - 1.0)
    first, state = made.step(FIRST * gradient(1, over), over.vector, state, 1)
    assert made.weighted(torch.ones(()), 1, state) == 2 * FIRST
    second, _ = made.step(2 * FIRST * gradient(1, over), over.vector, state, 2)
    assert second.equal(first)


def last_step(*, scaled: bool, size: float) -> tuple[Tensor, Memory]:
    """Return the change's length and the memory of a step, with gradients of a size in float16."""
    network = Network({"weights": torch.zeros(4, 1, requires_grad=True)}, affine)
    over = Params([network], CPU, torch.float32)
    made = rule(over, "sgd", scaled=scaled)
    model = Forward([network], over, Precision.fp16)
    batch = (torch.ones(1, 4), torch.zeros(1))
    steps = descend(
        model,
        lambda outputs, _: size * outputs.mean(),
        made,
        over,
        made.init(over.vector),
        [[batch]],
    )
    (step,) = steps
    return step.norms()[0], step.state


def test_the_gradient_that_is_looked_at_is_not_scaled() -> None:
    network = Network({"weights": torch.zeros(4, 1, requires_grad=True)}, affine)
    over = Params([network], CPU, torch.float32)
    made = rule(over, "sgd", scaled=True)
    batches = [[(torch.ones(1, 4), torch.zeros(1))]] * 2
    model, memory = Forward([network], over), made.init(over.vector)
    for step in descend(model, lambda y, _: y.mean(), made, over, memory, batches):
        torch.testing.assert_close(step.norms()[1], torch.tensor(2.0))


def affine(tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
    return inputs @ tensors["weights"]


@pytest.mark.parametrize("size", [1e-8, 2e-8])
def test_gradients_that_float16_flushes_to_zero_move_the_parameters(size: float) -> None:
    assert not last_step(scaled=False, size=size)[0].any()
    norm, _ = last_step(scaled=True, size=size)
    torch.testing.assert_close(norm, torch.tensor(2 * 0.1 * size), rtol=1e-3, atol=0)


def test_a_gradient_of_a_small_multiple_of_the_least_number_is_exact_only_with_the_scale() -> None:
    wanted = torch.tensor(2e-8)
    plain, scaled = (last_step(scaled=scaled, size=1e-7)[0] for scaled in (False, True))
    assert (plain - wanted).abs() > 0.1 * wanted
    torch.testing.assert_close(scaled, wanted, rtol=1e-3, atol=0)


def test_a_gradient_that_overflows_in_float16_is_left_out() -> None:
    change, state = last_step(scaled=True, size=2.0)  # times 2 ** 16 is above 65,504
    assert not change.any()
    assert scale(state) == (FIRST / 2, 0)


def finished(*overrides: str) -> tuple[Result, Any]:
    session = prepare(compose(["device=cpu", "tracking=none", *overrides]))
    result = execute(session.experiment, InMemory(), session=session)
    return result, session


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=linear"],
        pytest.param(
            ["model=mlp", "optimizer=adam", "optimizer.lr=0.003"], marks=pytest.mark.whole
        ),
        pytest.param(
            ["model=mlp", "accumulate=2", "transform=[clip_norm]"], marks=pytest.mark.whole
        ),
    ],
)
def test_a_run_in_float16_learns_about_as_well_as_in_float32(overrides: list[str]) -> None:
    (wanted, _), (found, session) = (
        finished("epochs=3", f"device.precision={precision}", *overrides)
        for precision in ("fp32", "fp16")
    )
    assert session.params.vector.dtype == torch.float32
    assert wanted.metrics["test/accuracy"] > 0.85
    for name in ("test/accuracy", "final/val/accuracy"):
        assert found.metrics[name] == pytest.approx(wanted.metrics[name], abs=0.03)
    assert found.metrics["final/val/loss"] == pytest.approx(
        wanted.metrics["final/val/loss"], rel=0.1
    )
