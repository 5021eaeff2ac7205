"""Each rule takes the path of its paper, and of the libraries that have it."""

import pytest
from descents import START, Gradient, distance, fixed, quadratic
from oracles import core, modern, research
from oracles.case import Case

CASES = [*core.CASES, *modern.CASES, *research.CASES]


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_takes_the_path_of_its_oracle(case: Case, gradient: Gradient) -> None:
    wanted = case.path(gradient, START)
    assert distance(case.ours(gradient, START), wanted) <= case.tolerance
