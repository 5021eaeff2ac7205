"""Each rule takes the path of its paper, and of the libraries that have it."""

import pytest
import torch
from descents import ORIGIN, START, Gradient, distance, fixed, quadratic
from oracles import core, modern, research, transforms
from oracles.case import Case

from experiments import lookup, plugins
from experiments.plugin.rulepart import RulePart

CASES = [*core.CASES, *transforms.CASES, *modern.CASES, *research.CASES]
PAPERS = [case for case in CASES if case.against.startswith("NumPy")]
# Routes are other rules, averages leave the path as it is, and noise has tests of its own.
APART = {"route", "ema", "swa", "noise"}
# jax compiles a program of each case; both take seconds to be imported.
SLOW = ("optax", "pytorch_optimizer")


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, marks=[pytest.mark.whole] if case.against.startswith(SLOW) else [], id=str(case)
        )
        for case in CASES
    ],
)
def test_a_rule_takes_the_path_of_its_oracle(case: Case, gradient: Gradient) -> None:
    wanted = case.path(gradient, START)
    assert distance(case.ours(gradient, START), wanted) <= case.tolerance


@pytest.mark.parametrize("case", PAPERS, ids=str)
def test_a_rule_in_float32_keeps_float32s_digits(case: Case) -> None:
    start = ORIGIN
    wanted = case.path(fixed(1), start.double())
    if not wanted.any():  # as a step in proportion to the parameters
        start = START.float()
        wanted = case.path(fixed(1), start.double())
    path = case.ours(fixed(1), start)
    assert path.dtype == torch.float32
    assert distance(path.double(), wanted) <= case.single


def test_every_rule_that_sees_gradients_alone_is_compared_with_its_paper() -> None:
    known = {name for case in PAPERS for name in (case.rule, *case.transforms)}
    for kind in ("optimizer", "transform"):
        for name in plugins(kind):
            plugin = lookup(kind, name)
            assert issubclass(plugin, RulePart)
            looks = {"loss", "gradient", "hvp"} & set(plugin.needs)
            assert name in known | APART or looks, f"{kind}={name}"
