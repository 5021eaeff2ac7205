"""Routes: which parameters go to which rule, with numbers of their own for parts of a model."""

from typing import Any

import pytest
import torch
from composed import compose
from descents import given
from problems import follow, params_of, rule_of, tensors_only
from torch import Tensor

from experiments import ConfigError

SHAPES = {"inner": (4, 3), "scale": (4,), "outer": (2, 4), "bias": (2,)}


def rates(parameters_of: dict[str, list[str]], **lrs: float) -> dict[str, float]:
    """Return the rate by which each parameter is moved, by name."""
    route = given(
        "optimizer",
        "route",
        lr=0.5,
        rules={name: given("optimizer", "sgd", lr=lr) for name, lr in lrs.items()},
        parameters=parameters_of,
    )
    zeros = {name: torch.zeros(own, dtype=torch.float64) for name, own in SHAPES.items()}
    params = params_of([tensors_only(**zeros)])
    path = follow(rule_of(params, route), params, lambda _, point: torch.ones_like(point), 1)
    steps: dict[str, Tensor] = params.layout.split(path[0] - path[1])
    assert all(step.eq(step.flatten()[0]).all() for step in steps.values())
    return {name: step.flatten()[0].item() for name, step in steps.items()}


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["last"], {"outer", "bias"}),
        (["matrix"], {"inner", "outer"}),
        (["*u*"], {"outer"}),
        (["inner", "bias"], {"inner", "bias"}),
        (["bias"], {"bias"}),
    ],
)
def test_a_part_has_its_own_rate_times_that_of_the_whole(words: list[str], taken: set[str]) -> None:
    found = rates({"part": words, "rest": ["*"]}, part=0.2, rest=0.6)
    assert found == {name: 0.1 if name in taken else 0.3 for name in SHAPES}


def test_the_first_that_names_a_parameter_takes_it() -> None:
    found = rates(
        {"last": ["last"], "matrices": ["matrix"], "rest": ["*"]}, last=2, matrices=4, rest=6
    )
    assert found == {"inner": 2, "scale": 3, "outer": 1, "bias": 1}


@pytest.mark.parametrize(
    ("parameters_of", "message"),
    [
        ({"part": ["outr"], "rest": ["*"]}, r"part=outr fits no .* did you mean 'outer'\?"),
        ({"part": ["lst"], "rest": ["*"]}, r"did you mean 'last'\? Allowed: .*matrix"),
        ({"part": ["*"], "rest": ["*"]}, "rules.rest takes no parameter"),
        ({"part": ["last"], "rest": ["inner"]}, r"no rule takes scale; a last one with \['\*'\]"),
    ],
)
def test_what_does_not_come_out_even_is_an_error(
    parameters_of: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rates(parameters_of, part=1, rest=1)


@pytest.mark.parametrize("preset", ["adamw_last", "muon_adamw"])
def test_every_number_of_a_presets_rules_is_a_setting(preset: str) -> None:
    names = {"adamw_last": ("last", "rest"), "muon_adamw": ("matrices", "rest")}[preset]
    overrides = [f"optimizer.rules.{name}.lr=0.{place}" for place, name in enumerate(names, 1)]
    optimizer: Any = compose([f"optimizer={preset}", *overrides]).optimizer
    assert {name: rule.lr for name, rule in optimizer.rules.items()} == {names[0]: 0.1, "rest": 0.2}
