"""The transforms: against torch, in the order given, and with parts that `skip` spares."""

from typing import Any

import pytest
import torch
from descents import descend
from problems import follow, numbers, params_of, rule_of, tensors_only
from torch import Tensor, nn

from experiments import ConfigError, Transform, lookup
from experiments.rules.params import Params
from experiments.rules.rule import Rule

SGD = lookup("optimizer", "sgd")


def transform(name: str, **fields: Any) -> Any:
    return lookup("transform", name)(**fields)


def parameters() -> Params:
    return params_of([tensors_only(weights=numbers(4, 3), bias=numbers(3, seed=1))])


def first_step(transforms: dict[str, Transform], grads: Tensor, lr: float = 1.0) -> Tensor:
    params = parameters()
    rule = rule_of(params, SGD(lr=lr), transforms)  # type: ignore[call-arg, arg-type]
    path = follow(rule, params, lambda _, __: grads, 1)
    return path[0] - path[1]


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("max_norm", [0.5, 3.0])
def test_clip_norm_equals_torch(size: float, max_norm: float) -> None:
    grads = size * numbers(15, seed=2)
    parts = [nn.Parameter(torch.zeros(4, 3)), nn.Parameter(torch.zeros(3))]
    for part, grad in zip(parts, grads.split([12, 3]), strict=True):
        part.data = part.data.double()
        part.grad = grad.view_as(part).clone()
    nn.utils.clip_grad_norm_(parts, max_norm)
    wanted = torch.cat([part.grad.flatten() for part in parts if part.grad is not None])
    step = first_step({"clip_norm": transform("clip_norm", max_norm=max_norm)}, grads)
    torch.testing.assert_close(step, wanted, rtol=1e-12, atol=1e-14)


def test_clip_norm_leaves_a_gradient_of_zero_alone() -> None:
    step = first_step({"clip_norm": transform("clip_norm")}, torch.zeros(15, dtype=torch.float64))
    torch.testing.assert_close(step, torch.zeros_like(step), rtol=0, atol=1e-15)


@pytest.mark.parametrize("limit", [0.01, 0.7, 100.0])
def test_clip_value_equals_torch(limit: float) -> None:
    grads = numbers(15, seed=2)
    part = nn.Parameter(torch.zeros(15, dtype=torch.float64))
    part.grad = grads.clone()
    nn.utils.clip_grad_value_([part], limit)
    step = first_step({"clip_value": transform("clip_value", limit=limit)}, grads)
    torch.testing.assert_close(step, part.grad, rtol=1e-12, atol=1e-15)


def test_transforms_apply_in_the_order_given() -> None:
    grads, start = 10 * numbers(15, seed=2), parameters().vector
    clip = {"clip_norm": transform("clip_norm", max_norm=0.5)}
    decay = {"weight_decay": transform("weight_decay", weight_decay=0.2)}

    def clipped(vector: Tensor) -> Tensor:
        return vector * 0.5 / (vector.norm() + 1e-6)

    torch.testing.assert_close(first_step(clip | decay, grads), clipped(grads) + 0.2 * start)
    torch.testing.assert_close(first_step(decay | clip, grads), clipped(grads + 0.2 * start))


def test_coupled_decay_joins_the_gradient_and_decoupled_decay_the_step() -> None:
    grads, start = numbers(15, seed=2), parameters().vector
    for decoupled in (False, True):
        decay = transform("weight_decay", weight_decay=0.2, decoupled=decoupled)
        step = first_step({"weight_decay": decay}, grads, lr=0.1)
        torch.testing.assert_close(step, 0.1 * (grads + 0.2 * start))
    clipped = transform("clip_norm", max_norm=1e-9)
    decay = transform("weight_decay", weight_decay=0.2, decoupled=True)
    step = first_step({"weight_decay": decay, "clip_norm": clipped}, grads, lr=0.1)
    torch.testing.assert_close(step, 0.1 * 0.2 * start, rtol=0, atol=1e-9)


def test_decay_that_is_independent_of_lr_is_the_same_for_every_lr() -> None:
    start = parameters().vector
    decay = transform("weight_decay", weight_decay=0.2, decoupled=True, independent=True)
    for lr in (0.1, 3.0):
        step = first_step({"weight_decay": decay}, torch.zeros_like(start), lr=lr)
        torch.testing.assert_close(step, 0.2 * start)


def test_independent_decay_that_is_coupled_is_an_error() -> None:
    with pytest.raises(ValueError, match="set decoupled=true"):
        transform("weight_decay", independent=True)


def test_what_comes_after_caution_is_not_left_out() -> None:
    grads, start = numbers(15, seed=2), parameters().vector
    decay = transform("weight_decay", weight_decay=0.2, decoupled=True)
    cautious = {"cautious": transform("cautious")}
    # The step of gradient descent never goes against the gradient.
    share = torch.tensor([12 / 13] * 12 + [3 / 4] * 3, dtype=torch.float64)
    step = first_step(cautious | {"weight_decay": decay}, grads)
    torch.testing.assert_close(step, share * grads + 0.2 * start)
    whole = grads + 0.2 * start
    kept = (whole * grads > 0).double().split([12, 3])
    shares = [own * (len(own) / (own.sum() + 1)) for own in kept]
    step = first_step({"weight_decay": decay} | cautious, grads)
    torch.testing.assert_close(step, torch.cat(shares) * whole)


def test_a_trust_ratio_makes_steps_as_long_as_lr_times_their_parameters() -> None:
    grads, start = numbers(15, seed=2), parameters().vector
    for vectors in (True, False):
        ratio = transform("trust_ratio", trust=0.3, vectors=vectors)
        steps = first_step({"trust_ratio": ratio}, grads, lr=0.1).split([12, 3])
        assert steps[0].norm().item() == pytest.approx(0.03 * start[:12].norm().item())
        length = 0.03 * start[12:].norm() if vectors else 0.1 * grads[12:].norm()
        assert steps[1].norm().item() == pytest.approx(length.item())


def test_a_trust_ratio_leaves_a_step_of_0_and_a_rate_of_0_alone() -> None:
    ratio = {"trust_ratio": transform("trust_ratio")}
    zeros = torch.zeros(15, dtype=torch.float64)
    assert first_step(ratio, zeros).eq(0).all()
    assert first_step(ratio, numbers(15), lr=0.0).eq(0).all()


def noises(steps: int, seed: int = 0, **fields: float) -> Tensor:
    """Return what noise alone does to parameters in each of so many steps."""
    params = params_of([tensors_only(weights=torch.zeros(4000, dtype=torch.float64))])
    noise = {"noise": [transform("noise", **fields)]}
    rule = Rule(
        params, [SGD(lr=1.0)], noise, {}, total_steps=steps, steps_per_epoch=steps, seeds=[seed]
    )  # type: ignore[call-arg, list-item]
    path, _ = descend(rule, params, lambda point: 0 * point.sum(), steps)
    return path[:-1] - path[1:]


def test_noise_is_normal_and_fades_by_its_formula() -> None:
    drawn = noises(20, eta=0.3, gamma=0.55)
    for t, step in enumerate(drawn):
        assert step.std().item() == pytest.approx((0.3 / (1 + t) ** 0.55) ** 0.5, rel=0.05)
        assert abs(step.mean().item()) < 4 * step.std().item() / len(step) ** 0.5
    assert (drawn / drawn.std(1, keepdim=True)).pow(4).mean().item() == pytest.approx(3, rel=0.05)
    correlations = torch.corrcoef(drawn) - torch.eye(20, dtype=torch.float64)
    assert correlations.abs().max() < 5 / 4000**0.5


def test_noise_is_decided_by_the_seed() -> None:
    assert noises(3, eta=0.3).equal(noises(3, eta=0.3))
    assert not noises(3, eta=0.3).equal(noises(3, seed=1, eta=0.3))


class Normed(nn.Module):
    """Has parameters of every role."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)
        self.running = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("skip", "decayed"),
    [
        ([], {"hidden.weight", "hidden.bias", "head.weight", "head.bias"} | {"norms"}),
        (["bias"], {"hidden.weight", "head.weight", "norms"}),
        (["bias", "norm"], {"hidden.weight", "head.weight"}),
        (["weight"], {"hidden.bias", "head.bias", "norms"}),
        (["hidden.*"], {"head.weight", "head.bias", "norms"}),
        (["*.bias", "norm.*", "running.*"], {"hidden.weight", "head.weight"}),
        (["head.weight", "norm"], {"hidden.weight", "hidden.bias", "head.bias"}),
    ],
)
def test_weight_decay_spares_what_skip_names(skip: list[str], decayed: set[str]) -> None:
    params = params_of([Normed()])
    norms = {"norm.weight", "norm.bias", "running.weight", "running.bias"}
    expected = decayed - {"norms"} | (norms if "norms" in decayed else set())
    params.vector.fill_(3.0)
    decay = transform("weight_decay", weight_decay=0.5, skip=skip)
    rule = rule_of(params, SGD(lr=1.0), {"weight_decay": decay})  # type: ignore[call-arg, arg-type]
    path = follow(rule, params, lambda _, point: torch.zeros_like(point), 1)
    steps = params.layout.split(path[0] - path[1])
    assert {name for name, step in steps.items() if step.eq(1.5).all()} == expected
    assert all(step.eq(0).all() for name, step in steps.items() if name not in expected)


def test_a_word_that_fits_no_parameter_is_an_error_with_the_nearest_one() -> None:
    params = params_of([Normed()])
    decay = transform("weight_decay", skip=["bais"])
    rule = rule_of(params, SGD(lr=1.0), {"weight_decay": decay})  # type: ignore[call-arg, arg-type]
    with pytest.raises(ConfigError, match=r"skip=bais .* did you mean 'bias'\? Allowed: .*norm"):
        rule.init(params.vector)
