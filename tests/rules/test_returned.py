"""What a rule or a transform returns is checked the first time, and told by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from composed import ROOT
from problems import numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import ConfigError, Optimizer, State, Transform, lookup, register
from experiments.api import script

pytestmark = pytest.mark.usefixtures("own_registry")

STATE = "optimizer=wrong: update returned a state whose 'm' is "
WRONG: dict[str, tuple[Callable[[Tensor, State], Any], str]] = {
    "a step alone": (
        lambda g, _: g,
        "optimizer=wrong: update returned a tensor of shape [6] and dtype float64, expected two "
        "things: a tensor like the first argument, and the next state.",
    ),
    "nothing": (lambda *_: None, "optimizer=wrong: update returned None, expected two things"),
    "a scalar": (
        lambda g, s: (g.norm(), s),
        "optimizer=wrong: update returned a tensor of shape [] and dtype float64, expected a "
        "tensor of shape [6] and dtype float64.",
    ),
    "another dtype": (lambda g, s: (g.float(), s), "dtype float32, expected"),
    "a number": (lambda _, s: (0.1, s), "optimizer=wrong: update returned 0.1, expected a tensor"),
    "no state": (lambda g, _: (g, None), "update returned None as state, expected tensors by name"),
    "a number as state": (
        lambda g, _: (g, {"m": 3}),
        "'m' is 3, expected a tensor by its name: a number is kept as `param.new_zeros(())`.",
    ),
    "less state": (lambda g, _: (g, {}), "update returned a state of nothing, expected m"),
    "more state": (lambda g, s: (g, s | {"v": g}), "returned a state of m, v, expected m"),
    "a state of another shape": (
        lambda g, _: (g, {"m": g.sum()}),
        f"{STATE}a tensor of shape [] and dtype float64, expected a tensor of shape [6]",
    ),
}


def wrong(update: Callable[[Tensor, State], Any], needs: tuple[str, ...] = ()) -> Optimizer:
    wanted = needs

    @register("wrong")
    class Wrong(Optimizer):
        """Returns something."""

        needs = wanted
        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"m": torch.zeros_like(param)}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return update(grad, state)  # type: ignore[no-any-return]

    return Wrong()


def step(optimizer: Optimizer, transforms: dict[str, Transform] | None = None) -> None:
    params = params_of([tensors_only(weights=numbers(3, 2))])
    rule = rule_of(params, optimizer, transforms)
    rule.step(numbers(6), params.vector, rule.init(params.vector), 1)


@pytest.mark.parametrize("kind", WRONG)
def test_what_came_and_what_is_expected_is_told(kind: str) -> None:
    update, told = WRONG[kind]
    with pytest.raises(ConfigError) as caught:
        step(wrong(update))
    assert told in str(caught.value)


def test_a_memory_that_is_none_is_told_before_the_first_step() -> None:
    @register("counting")
    class Counting(Optimizer):
        """Counts in a number."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"count": 0}  # type: ignore[dict-item]

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return grad, state

    with pytest.raises(ConfigError, match=r"optimizer=counting: init .* whose 'count' is 0"):
        step(Counting())


def test_a_transform_is_named_with_its_place() -> None:
    @register("cutting")
    class Cutting(Transform):
        """Returns a part."""

        def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
            return grad[:2], state

    with pytest.raises(ConfigError, match=r"transform=cutting: on_gradient returned .* \[2\]"):
        step(lookup("optimizer", "sgd")(), {"cutting": Cutting()})  # type: ignore[arg-type]


def test_what_a_rule_needs_has_a_name_and_is_declared() -> None:
    with pytest.raises(ConfigError, match="needs='gradiant'; did you mean 'gradient'"):
        step(wrong(lambda g, s: (g, s), needs=("gradiant",)))

    @register("looking")
    class Looking(Optimizer):
        """Looks without having said so."""

        lr: float = 0.1

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return self.batch.gradient(param), state

    with pytest.raises(ConfigError, match=r"as in needs = \('gradient',\)"):
        step(Looking())


def test_a_rate_keeps_the_limits_of_every_rate() -> None:
    wrong(lambda g, s: (g, s))
    for value in ("-1", "nan"):
        with pytest.raises(ConfigError, match=f"optimizer.lr={value}"):
            script.run("optimizer=wrong", f"optimizer.lr={value}", "tracking=none", root=ROOT)


def test_a_run_ends_at_once_and_lanes_as_one_run_does(capsys: pytest.CaptureFixture[str]) -> None:
    wrong(lambda g, s: (g.norm(), s))
    with pytest.raises(ConfigError, match="optimizer=wrong: update returned"):
        script.run("optimizer=wrong", "tracking=none", "epochs=1", root=ROOT)
    runs = script.sweep("optimizer=wrong", "optimizer.lr=0.1,0.2", "tracking=none", root=ROOT)
    assert all("optimizer=wrong: update returned" in run.result.reason for run in runs)
    assert "Traceback" not in capsys.readouterr().out


def test_an_attribute_that_init_has_made_is_there_in_every_step() -> None:
    @register("shaped")
    class Shaped(Optimizer):
        """Remembers a shape beside its state."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            self.shape = param.shape
            return {}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return self.lr * grad.view(self.shape), state

    step(Shaped())
    lines = ["optimizer=shaped", "tracking=none", "epochs=1"]
    alone = script.run(*lines, "optimizer.lr=0.2", root=ROOT)
    _, lane = script.sweep(*lines, "optimizer.lr=0.1,0.2", root=ROOT)
    assert lane.metrics == pytest.approx(alone.metrics)


def test_a_count_on_the_rule_itself_is_told_to_be_lost() -> None:
    @register("counting")
    class Counting(Optimizer):
        """Counts its steps."""

        lr: float = 0.1

        def __post_init__(self) -> None:
            self.count = 0

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            self.count += 1
            return self.lr * grad / self.count, state

    with pytest.raises(ConfigError, match=r"update sets self\.count, which is lost"):
        step(Counting())


def test_a_memory_made_in_a_step_is_told() -> None:
    def lazily(grad: Tensor, state: State) -> tuple[Tensor, State]:
        if "v" not in state:
            state["v"] = torch.zeros_like(grad)
        return grad, state

    with pytest.raises(ConfigError, match="returned a state of m, v, expected m"):
        step(wrong(lazily))


def test_a_class_says_its_scope_by_name_and_has_methods_of_its_kind() -> None:
    @register("per_tensor")
    class PerTensor(Optimizer):
        """Sees a matrix."""

        scope = "tensor"  # type: ignore[assignment]
        lr: float = 0.1

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            assert grad.shape == (3, 2)
            return grad, state

    step(PerTensor())
    PerTensor.scope = "tensors"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="scope='tensors'; did you mean 'tensor'"):
        step(PerTensor())

    @register("idle")
    class Idle(Transform):
        """Has a name misspelt."""

        def on_grad(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
            return grad, state

    with pytest.raises(ConfigError, match=r"transform=idle has no method .* 'on_gradient'"):
        step(lookup("optimizer", "sgd")(), {"idle": Idle()})  # type: ignore[arg-type]


def test_other_arguments_than_those_of_the_kind_are_told() -> None:
    @register("short")
    class Short(Optimizer):
        """Takes no step number."""

        lr: float = 0.1

        def update(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:  # type: ignore[override]
            return grad, state

    with pytest.raises(ConfigError, match="optimizer=short: update has other arguments"):
        step(Short())


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("scope", ["vector", "tensor"])
def test_views_of_gradient_and_parameters_are_kept_as_they_were(lanes: int, scope: str) -> None:
    own = scope

    @register("viewing")
    class Viewing(Optimizer):
        """Remembers views."""

        scope = own  # type: ignore[assignment]
        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"start": param.detach(), "last": torch.zeros_like(param)}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            change = grad + state["last"] + param - state["start"]
            return 0.1 * change, {"start": state["start"], "last": grad.detach()}

    params = params_of([tensors_only(weights=numbers(3, 2)) for _ in range(lanes)])
    rule = rule_of(params, [Viewing() for _ in range(lanes)])
    state, point, last = rule.init(params.vector), params.vector.clone(), 0.0
    start = point.clone()
    for t in range(1, 4):
        gradient = numbers(6, seed=t).expand_as(params.vector).clone()
        point = point - 0.1 * (gradient + last + point - start)
        last = gradient.clone()
        change, state = rule.step(gradient, params.vector, state, t)
        params.vector.sub_(change)
        gradient.zero_()
    torch.testing.assert_close(params.vector, point)
