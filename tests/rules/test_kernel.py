"""A kernel gives what the rule's own operations give, or there is none."""

import math
import shutil
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from problems import CPU, numbers, tensors_only
from torch import Tensor

from experiments import Optimizer, State, Transform, lookup, register
from experiments.rules import params as flat
from experiments.rules.chain import Memory
from experiments.rules.kernel import compiler
from experiments.rules.params import Gradients, Params
from experiments.rules.rule import Rule

DTYPES = [torch.float32, torch.float64]
ELEMENTWISE = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion"]
# What is like one of them.
MORE = ["adadelta", "adamax", "amsgrad", "nadam", "nadamw", "radam", "rprop", "schedule_free_adamw"]
MORE += ["schedule_free_sgd", "signum", "adopt", "ademamix", "adabelief", "yogi", "adan"]


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flat, "LARGE", 1)  # what any model is


def params_of(dtype: torch.dtype) -> Params:
    network = tensors_only(
        weights=numbers(40, 30), kernels=numbers(4, 3, 2, 2), bias=numbers(30), scale=numbers(1)[0]
    )
    return Params([network], CPU, dtype, channels_last=True)


def rule_of(params: Params, rule: Optimizer, transforms: dict[str, Transform]) -> Rule:
    schedule = lookup("schedule", "cosine")()
    lanes = {name: [transform] for name, transform in transforms.items()}
    return Rule(params, [rule], lanes, {"lr": [schedule]}, total_steps=9, steps_per_epoch=3)  # type: ignore[list-item]


def trained(
    rule: Optimizer, transforms: dict[str, Transform], dtype: torch.dtype, *, kernel: bool
) -> tuple[Params, Memory, list[Tensor], bool]:
    """Take some steps along gradients of every size, with a parameter that has none."""
    params = params_of(dtype)
    made = rule_of(params, rule, transforms)
    if not kernel:
        made._fused = None
    state, norms = made.init(params.vector), []
    for t in range(1, 6):
        for n, (name, leaf) in enumerate(params.tensors.items()):
            sizes = torch.logspace(-6, 3, leaf.numel(), dtype=dtype).view(leaf.shape)
            own = numbers(leaf.numel(), seed=10 * t + n).to(dtype).view(leaf.shape) * sizes
            leaf.grad = None if name == "scale" else own
        with torch.no_grad():
            change, state = made.update(params, state, t, torch.zeros(()))
            for part, step in change:
                part.sub_(step)
            params.grads.zero_()
        norms.append(change.norm())
    return params, state, norms, made._fused is not None and made._fused._kernel is not None


def check(
    rule: Optimizer, transforms: dict[str, Transform], dtype: torch.dtype, *, kernel: bool
) -> None:
    found, wanted = (trained(rule, transforms, dtype, kernel=on) for on in (True, False))
    assert isinstance(found[0].grads, Gradients)
    assert found[3] is kernel
    # The compiler's roots, powers and exponentials round otherwise.
    digits: dict[str, Any] = (
        {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 0}
    )
    for mine, own in ((found[0].vector, wanted[0].vector), (found[2], wanted[2])):
        torch.testing.assert_close(mine, own, **digits, equal_nan=True)
    for owner, memory in wanted[1].items():
        torch.testing.assert_close(found[1][owner], memory, **digits, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *product(ELEMENTWISE, DTYPES),
        *(pytest.param(name, torch.float64, marks=pytest.mark.whole) for name in MORE),
    ],
)
def test_a_rule_in_one_pass_gives_what_its_operations_give(name: str, dtype: torch.dtype) -> None:
    transforms = {n: lookup("transform", n)() for n in ("clip_value", "weight_decay")}
    check(lookup("optimizer", name)(), transforms, dtype, kernel=True)  # type: ignore[arg-type]


class Seen(NamedTuple):
    """What an equation is made of."""

    grad: Tensor
    param: Tensor
    lr: Tensor
    t: Tensor


def several(s: Seen) -> Tensor:
    """Compute with most of what is elementwise."""
    g, p = s.grad, s.param
    x = torch.where(g.abs() > 1, g.sign(), g) + g.clamp(min=-0.5) + g.clamp(max=2)
    x = x + torch.maximum(g, p) - torch.minimum(g, p).tanh() + g.sigmoid()
    x = x + g.square().log1p() + g.sin() * p.cos() + g.abs().add(1e-3).rsqrt() + p.abs().pow(0.5)
    x = x + (g.abs() + 1).reciprocal() + p.pow(3) - 2 / (1 + p.pow(2)) + (1 - g)
    x = torch.addcmul(x, g, p, value=0.3).addcdiv_(g, 1 + p.square(), value=-0.2)
    known = g.isfinite() & (p != 0) & ~(p > 5)
    return torch.where(known, x.lerp(g, 0.7), -x) * known * s.lr.to(g.dtype)


def in_place(s: Seen) -> Tensor:
    """Change temporaries, as a rule may."""
    x = s.grad.clone().mul_(2).add_(s.param, alpha=0.5).neg_()
    x.masked_fill_(x > 1, 1.0).exp_()
    y = torch.zeros_like(x).copy_(x).sub_(1).div_(1 + s.t.to(x.dtype))
    return y.clamp_(-1, 1).mul_(s.lr)


def undefined(s: Seen) -> Tensor:
    """Make numbers that are none."""
    root = torch.maximum((s.grad - 1e-3).sqrt(), s.param.log()).clamp(min=0.1, max=2)
    return root.sign() * s.lr * math.inf * s.param


def renamed(s: Seen) -> Tensor:
    """Change a tensor by its other name."""
    x = s.grad * s.lr
    x.detach().mul_(0.5)
    return x


def counted(s: Seen) -> Tensor:
    """Divide by how many numbers there are."""
    return s.grad / s.param.numel()


def made(equation: Callable[[Seen], Tensor]) -> Optimizer:
    @register("own")
    class Own(Optimizer):
        """Does what it is told."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"m": torch.zeros_like(param)}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            lr: Tensor = self.lr  # type: ignore[assignment]
            return equation(Seen(grad, param, lr, t)), state

    return Own()


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("equation", [several, in_place, undefined, counted, renamed])
def test_an_equation_of_ones_own_goes_in_one_pass(
    equation: Callable[[Seen], Tensor], dtype: torch.dtype
) -> None:
    check(made(equation), {}, dtype, kernel=True)


OTHERS: dict[str, Callable[[Seen], Tensor]] = {
    "a norm": lambda s: s.grad / s.grad.norm(),
    "a sum": lambda s: s.grad - s.grad.mean(),
    "an order": lambda s: s.grad.sort().values,
    "neighbours": lambda s: s.grad.roll(1),
    "a running sum": lambda s: s.grad.cumsum(0) * 1e-3,
    "a place": lambda s: torch.cat([s.grad[:5], s.param[5:]]),
    "a value": lambda s: s.grad * float(s.param[0] > 0),
    "a branch": lambda s: s.grad if s.grad[0].item() > 0 else 2 * s.grad,
    "a rounding": lambda s: torch.div(s.grad, 0.3, rounding_mode="floor"),
    "another shape": lambda s: (s.grad[:, None] * torch.ones_like(s.grad)[None, :2]).sum(1),
}


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_elementwise_goes_operation_by_operation(kind: str) -> None:
    check(made(OTHERS[kind]), {}, torch.float64, kernel=False)


@pytest.mark.usefixtures("own_registry")
def test_random_numbers_are_drawn_anew_at_each_step() -> None:
    rule = made(lambda s: torch.randn_like(s.grad))
    *_, norms, kernel = trained(rule, {}, torch.float32, kernel=True)
    assert not kernel
    assert len({norm.item() for norm in norms}) == len(norms)


@pytest.mark.usefixtures("own_registry")
def test_a_rule_that_writes_to_an_object_of_its_own_is_called_at_each_step() -> None:
    seen: list[float] = []
    rule = made(lambda s: s.grad * (1.0 if seen.append(s.lr.item()) is None else 0.0))  # type: ignore[func-returns-value]
    check(rule, {}, torch.float64, kernel=False)
    listing = made(lambda s: s.grad)
    listing.calls = seen  # type: ignore[attr-defined]
    check(listing, {}, torch.float64, kernel=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rule_goes_in_one_pass_behind_a_norm_of_everything(dtype: torch.dtype) -> None:
    names = ("clip_norm", "weight_decay", "ema")
    transforms = {name: lookup("transform", name)() for name in names}
    check(lookup("optimizer", "adam")(), transforms, dtype, kernel=True)  # type: ignore[arg-type]


def test_what_comes_behind_a_rule_of_the_whole_goes_with_it() -> None:
    check(lookup("optimizer", "prodigy")(), {}, torch.float64, kernel=False)  # type: ignore[arg-type]


def test_without_a_compiler_rules_go_operation_by_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    compiler.machine_code.cache_clear()
    check(lookup("optimizer", "adam")(), {}, torch.float32, kernel=False)  # type: ignore[arg-type]
    compiler.machine_code.cache_clear()


def test_threads_share_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    check(lookup("optimizer", "adam")(), {}, torch.float64, kernel=True)  # type: ignore[arg-type]


def rectified(s: Seen) -> Tensor:
    """Go on otherwise once a number of the step is large, as RAdam."""
    rho = 20 - 2 * s.t * 0.9**s.t / (1 - 0.9**s.t)
    rate = torch.where(rho > 5, s.lr / rho, s.lr).to(s.grad.dtype)
    small = torch.where(s.lr < 0.05, 0.5, 2.0).to(s.grad.dtype)
    return rate * small * torch.where(s.grad > 0, s.grad, 0.5)


SOMETIMES: dict[str, Callable[[Seen], Tensor]] = {
    "a list": lambda s: s.grad * s.t.tolist(),
    "an array": lambda s: s.grad * float(s.t.numpy()),
    "truths": lambda s: s.grad * (s.grad * 0.3).bool(),
    "a rounding of the step": lambda s: s.grad * torch.div(s.t - 1, 2, rounding_mode="floor"),
}


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_choice_by_the_step_or_the_rate_is_taken_at_each_step(dtype: torch.dtype) -> None:
    check(made(rectified), {}, dtype, kernel=True)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("kind", SOMETIMES)
def test_what_a_step_alone_does_not_show_goes_operation_by_operation(kind: str) -> None:
    check(made(SOMETIMES[kind]), {}, torch.float64, kernel=False)
