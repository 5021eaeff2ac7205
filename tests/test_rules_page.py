"""The page of all rules says what the registry has, and has a picture and a cost of each."""

import pytest

from docs.rulebook import page

RULES = [(kind, name) for kind in ("optimizer", "transform") for name in page.names(kind)]
OWN = [(kind, name) for kind, name in RULES if name not in page.HOLDERS]


def test_the_page_is_current() -> None:
    told = "docs/rules.md is of other rules: python -m docs.rulebook writes it anew"
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), told


@pytest.mark.parametrize(("kind", "name"), OWN)
def test_every_rule_has_a_picture_and_a_cost(kind: str, name: str) -> None:
    assert (page.PICTURES / f"{name}.png").exists(), f"python -m docs.rulebook --pictures {name}"
    assert page.cost_name(kind, name) in page.read_costs(), "python -m benchmarks.rules --costs"


def test_the_pictures_are_of_rules_and_small() -> None:
    files = list(page.PICTURES.iterdir())
    assert {path.stem for path in files} == {name for _, name in OWN}
    assert sum(path.stat().st_size for path in files) < 1.5e6
