"""A plugin's numbers as tensors: which fields they are, of which type, and in lanes."""

import dataclasses

import pytest
import torch
from problems import CPU
from torch import Tensor

from experiments import Optimizer, Precision, State
from experiments.rules.numbers import filled, numbers


@dataclasses.dataclass(kw_only=True, slots=True)
class Rule(Optimizer):
    """Has a field of every type."""

    lr: float = 0.1
    decay: float = 0.5
    often: int = 3
    nesterov: bool = False
    skip: list[str] = dataclasses.field(default_factory=list)
    limit: float | None = None
    precision: Precision = Precision.fp32

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        return self.lr * grad, state


def test_float_fields_become_numbers_and_no_others() -> None:
    values = numbers([Rule()], CPU)
    assert {name: value.item() for name, value in values.items()} == {"lr": 0.1, "decay": 0.5}
    assert all(value.dtype == torch.float64 and value.shape == () for value in values.values())


def test_an_optional_number_counts_where_it_is_set() -> None:
    assert numbers([Rule(limit=2.0)], CPU)["limit"].item() == 2


def test_lanes_have_a_number_each() -> None:
    values = numbers([Rule(lr=0.1), Rule(lr=0.2), Rule(lr=0.3, decay=0.0)], CPU)
    assert values["lr"].tolist() == [0.1, 0.2, 0.3]
    assert values["decay"].tolist() == [0.5, 0.5, 0.0]


@pytest.mark.parametrize("rates", [(1, 0.5), (0.5, 1), (1, 2)])
def test_a_whole_number_is_a_number_too(rates: tuple[float, float]) -> None:
    assert numbers([Rule(lr=rate) for rate in rates], CPU)["lr"].tolist() == list(rates)
    assert numbers([Rule(lr=rates[0])], CPU)["lr"].dtype == torch.float64


def test_a_number_leaves_float32_alone() -> None:
    lr = numbers([Rule()], CPU)["lr"]
    assert (lr * torch.ones(3)).dtype == torch.float32


def test_filling_makes_a_copy_with_tensors() -> None:
    rule = Rule(skip=["bias"])
    twin = filled(rule, {"lr": torch.tensor(0.7)})
    assert isinstance(twin, Rule)
    assert isinstance(twin.lr, Tensor)
    assert (twin.decay, twin.skip) == (0.5, ["bias"])
    assert rule == Rule(skip=["bias"])
