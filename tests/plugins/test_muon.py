"""Muon: against its equations in NumPy, torch's, and what is known of orthogonal steps."""

from typing import Any

import numpy as np
import pytest
import torch
from descents import distance, given
from numpy.typing import NDArray
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import ConfigError
from experiments.rules.params import Params
from plugins.optimizer.muon import Scale

STEPS = 30
SHAPES = {"tall": (6, 4), "wide": (3, 5), "filters": (4, 2, 3, 3)}
SIZES = [24, 15, 72]
GRADIENTS = numbers(STEPS, sum(SIZES), seed=1)
NUMBERS = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.3}


def parameters(dtype: torch.dtype = torch.float64) -> Params:
    start = numbers(sum(SIZES), seed=9).to(dtype).split(SIZES)
    own = {n: part.view(SHAPES[n]).clone() for n, part in zip(SHAPES, start, strict=True)}
    return params_of([tensors_only(**own)], dtype)


def ours(
    dtype: torch.dtype = torch.float64, gradients: Tensor = GRADIENTS, **fields: Any
) -> Tensor:
    params = parameters(dtype)
    rule = rule_of(params, given("optimizer", "muon", **fields))
    return follow(rule, params, lambda t, _: gradients[t - 1], len(gradients))


def transcribed(
    param: NDArray[np.float64], gradients: NDArray[np.float64], lr: float, mu: float, decay: float
) -> NDArray[np.float64]:
    """Follow the published equations for one matrix."""
    path, b = [param], np.zeros_like(param)
    for grad in gradients:
        b = mu * b + (1 - mu) * grad
        x = (1 - mu) * grad + mu * b
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        param = (1 - lr * decay) * param - lr * max(1, len(x) / len(x.T)) ** 0.5 * x
        path.append(param)
    return np.stack(path)


@pytest.mark.parametrize("fields", [{}, NUMBERS], ids=["by default", "with much decay"])
def test_muon_is_its_equations(fields: dict[str, float]) -> None:
    values = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.0, **fields}
    parts = zip(
        SHAPES.values(), parameters().vector.split(SIZES), GRADIENTS.split(SIZES, 1), strict=True
    )
    paths = [
        transcribed(
            start.view(shape[0], -1).numpy(),
            gradients.view(STEPS, shape[0], -1).numpy(),
            *values.values(),
        ).reshape(STEPS + 1, -1)
        for shape, start, gradients in parts
    ]
    wanted = torch.from_numpy(np.concatenate(paths, 1))
    assert distance(ours(**fields), wanted) <= 1e-10
    single = ours(torch.float32, **fields)
    assert single.dtype == torch.float32
    assert distance(single.double(), wanted) <= 5e-6


@pytest.mark.parametrize("form", [{"scale": own} for own in Scale] + [{"nesterov": False}], ids=str)
def test_muon_is_torchs_but_for_bfloat16(form: dict[str, Any]) -> None:
    parts = [
        part.view(len(part) // n, n).clone()
        for part, n in zip(parameters().vector.split(SIZES), (4, 5, 18), strict=True)
    ]
    options = {"adjust_lr_fn": form["scale"].value} if "scale" in form else form
    torchs = torch.optim.Muon([part.requires_grad_() for part in parts], **NUMBERS, **options)
    for gradient in GRADIENTS:
        for part, grad in zip(parts, gradient.split(SIZES), strict=True):
            part.grad = grad.view_as(part).clone()
        torchs.step()
    wanted = torch.cat([part.detach().flatten() for part in parts])
    path = ours(**NUMBERS, **form)
    assert (path[-1] - wanted).norm() / (wanted - path[0]).norm() < 0.02


def test_a_step_has_singular_values_near_1_whatever_the_gradients_size() -> None:
    path = ours(gradients=GRADIENTS[:1], lr=1.0)
    step = (path[0] - path[1]).split(SIZES)
    assert all(0.5 < value < 1.3 for value in torch.linalg.svdvals(step[1].view(3, 5)))
    values = torch.linalg.svdvals(step[0].view(6, 4)) / 1.5**0.5
    assert all(0.5 < value < 1.3 for value in values)
    larger = ours(gradients=1e3 * GRADIENTS[:1], lr=1.0)
    torch.testing.assert_close(larger, path, rtol=1e-5, atol=1e-5)


def test_a_step_turns_with_its_gradient() -> None:
    turn = torch.linalg.qr(numbers(6, 6, seed=3)).Q
    plain, turned = GRADIENTS[:1].clone(), GRADIENTS[:1].clone()
    turned[0, :24] = (turn @ plain[0, :24].view(6, 4)).flatten()
    steps = [
        (path[0] - path[1])[:24].view(6, 4)
        for path in (ours(gradients=plain), ours(gradients=turned))
    ]
    torch.testing.assert_close(turn @ steps[0], steps[1], rtol=1e-10, atol=1e-12)


def test_a_gradient_of_zero_makes_no_step() -> None:
    path = ours(gradients=torch.zeros_like(GRADIENTS))
    assert path[-1].equal(path[0])


def test_a_vector_is_refused_with_what_to_set() -> None:
    params = params_of([tensors_only(weights=numbers(3, 2), bias=numbers(3))])
    with pytest.raises(ConfigError, match=r"muon: parameter bias: .*\[3\] .*=muon_adamw\.$"):
        rule_of(params, given("optimizer", "muon")).init(params.vector)
