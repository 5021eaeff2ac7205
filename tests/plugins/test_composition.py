"""What rules are called is what they are made of: a rule with transforms equals another."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from descents import Gradient, distance, fixed, given, ours, quadratic

from plugins.transform.trust_ratio import Of

ADAM = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3}
DECAYED = {"weight_decay": 0.3}
APART = {"weight_decay": DECAYED | {"decoupled": True}}


class Made(NamedTuple):
    """A rule with its numbers, and its transforms in order."""

    rule: str
    fields: Mapping[str, Any]
    transforms: Mapping[str, Mapping[str, Any]] = {}

    def path(self, gradient: Gradient) -> Any:
        transforms = {
            name: given("transform", name, **own) for name, own in self.transforms.items()
        }
        return ours(given("optimizer", self.rule, **self.fields), gradient, transforms)


EQUAL = {
    "adamw is adam with decoupled decay": (
        Made("adamw", ADAM | DECAYED),
        Made("adam", ADAM, APART),
    ),
    "nadamw is nadam of a constant momentum with decoupled decay": (
        Made("nadamw", ADAM | DECAYED),
        Made("nadam", ADAM | {"rising": False}, APART),
    ),
    "lamb is adamw with a trust ratio": (
        Made("lamb", ADAM | DECAYED),
        Made("adamw", ADAM | DECAYED, {"trust_ratio": {}}),
    ),
    "lamb is adam with decoupled decay, and then a trust ratio": (
        Made("lamb", ADAM | DECAYED),
        Made("adam", ADAM, APART | {"trust_ratio": {}}),
    ),
    "lars is momentum with decay, and then a trust ratio of the gradient": (
        Made("lars", {"lr": 0.5, "momentum": 0.8, "trust": 0.1, "joint": True} | DECAYED),
        Made(
            "momentum",
            {"lr": 0.5, "momentum": 0.8, "lr_inside": True},
            {"weight_decay": DECAYED, "trust_ratio": {"of": Of.gradient, "trust": 0.1}},
        ),
    ),
    "the decay of lion is decoupled": (
        Made("lion", {"lr": 0.02} | DECAYED),
        Made("lion", {"lr": 0.02, "weight_decay": 0.0}, APART),
    ),
    "momentum that is dampened has a smaller lr": (
        Made("momentum", {"lr": 0.1, "momentum": 0.8, "dampened": True}),
        Made("momentum", {"lr": 0.02, "momentum": 0.8}),
    ),
    "rmsprop is adam without a first moment and without correction": (
        Made("rmsprop", {"lr": 0.02, "decay": 0.98, "eps": 1e-3}),
        Made("adam", ADAM | {"beta1": 0.0, "bias_correction": False}),
    ),
}
UNEQUAL = {
    "coupled decay is another": (
        Made("adamw", ADAM | DECAYED),
        Made("adam", ADAM, {"weight_decay": DECAYED}),
    ),
    "a trust ratio before the decay leaves it as it is": (
        Made("lamb", ADAM | DECAYED),
        Made("adam", ADAM, {"trust_ratio": {}} | APART),
    ),
}


@pytest.mark.parametrize("gradient", [fixed(1), quadratic(2)], ids=["fixed", "quadratic"])
@pytest.mark.parametrize("pair", EQUAL)
def test_a_rule_is_what_it_is_made_of(pair: str, gradient: Gradient) -> None:
    one, other = EQUAL[pair]
    assert distance(one.path(gradient), other.path(gradient)) <= 1e-12


@pytest.mark.parametrize("pair", UNEQUAL)
def test_the_order_and_the_form_of_parts_count(pair: str) -> None:
    one, other = UNEQUAL[pair]
    assert distance(one.path(fixed(1)), other.path(fixed(1))) > 1e-2
