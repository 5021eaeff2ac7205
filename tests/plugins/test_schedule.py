"""Each schedule: against torch's scheduler or its formula, with warm-up, and in lanes."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import CPU
from torch import Tensor
from torch.optim import SGD, lr_scheduler

from experiments import Schedule, Unit, lookup, plugins
from experiments.rules.numbers import numbers
from experiments.rules.timetable import Timetable

TOTAL = 40


def schedule(name: str, **fields: Any) -> Any:
    return lookup("schedule", name)(**fields)


def row(
    *lanes: Schedule,
    base: float = 1.0,
    steps: int = TOTAL,
    total: int = TOTAL,
    steps_per_epoch: int = 10,
) -> Tensor:
    """Return the scheduled values [steps], with several schedules [steps, K]."""
    rates = [lookup("optimizer", "sgd")(lr=base) for _ in lanes]  # type: ignore[call-arg]
    table = Timetable(
        numbers(rates, CPU), {"lr": lanes}, total_steps=total, steps_per_epoch=steps_per_epoch
    )
    return torch.stack([table.at(t)[1]["lr"] for t in range(1, steps + 1)])


def torchs(make: Callable[[SGD], Any], steps: int = TOTAL) -> Tensor:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, values = make(optimizer), []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(values, dtype=torch.float64)


REFERENCES: dict[str, tuple[str, dict[str, Any], Callable[[SGD], Any]]] = {
    "constant": ("constant", {}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    "cosine": ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL)),
    "cosine to 0.1": (
        "cosine",
        {"final": 0.1},
        lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, eta_min=0.1),
    ),
    "exponential": ("exponential", {"gamma": 0.93}, lambda o: lr_scheduler.ExponentialLR(o, 0.93)),
    "step": ("step", {"every": 7.0, "gamma": 0.3}, lambda o: lr_scheduler.StepLR(o, 7, gamma=0.3)),
    "polynomial": (
        "polynomial",
        {"power": 1.7},
        lambda o: lr_scheduler.PolynomialLR(o, TOTAL, power=1.7),
    ),
    "linear": (
        "polynomial",
        {"final": 0.25},
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=TOTAL),
    ),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_schedule_equals_torchs(name: str) -> None:
    plugin, fields, make = REFERENCES[name]
    values = row(schedule(plugin, unit=Unit.step, **fields))
    torch.testing.assert_close(values, torchs(make), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("total", [2, 3, 4, 7, 10, 40, 97, 200])
@pytest.mark.parametrize("rise", [0.05, 0.3, 0.45, 0.9])
@pytest.mark.parametrize(("div", "final_div"), [(25.0, 1e4), (20.0, 50.0), (1.5, 2.0)])
def test_one_cycle_equals_torchs(total: int, rise: float, div: float, final_div: float) -> None:
    wanted = torchs(
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=total, pct_start=rise, div_factor=div, final_div_factor=final_div
        ),
        steps=total,
    )
    for unit, steps_per_epoch in ((Unit.step, 7), (Unit.epoch, 7), (Unit.epoch, 300)):
        ours = schedule("one_cycle", unit=unit, rise=rise, div=div, final_div=final_div)
        values = row(ours, steps=total, total=total, steps_per_epoch=steps_per_epoch)
        torch.testing.assert_close(values, wanted, rtol=1e-10, atol=1e-13)


def test_one_cycle_has_torchs_numbers_by_default() -> None:
    values = row(schedule("one_cycle"))
    wanted = torchs(lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=TOTAL))
    torch.testing.assert_close(values, wanted, rtol=1e-10, atol=1e-13)
    assert values[-1].item() == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("unit", Unit)
def test_one_cycle_after_a_warm_up_is_torchs_over_what_is_left(unit: Unit) -> None:
    ours = schedule("one_cycle", unit=unit, warmup=1.0 if unit is Unit.epoch else 10.0)
    wanted = torchs(lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=TOTAL - 10), TOTAL - 10)
    torch.testing.assert_close(row(ours)[10:], wanted, rtol=1e-10, atol=1e-13)


def test_one_cycle_of_a_single_step_has_the_lowest_value() -> None:
    assert row(schedule("one_cycle"), steps=1, total=1).item() == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("name", plugins("schedule"))
def test_epochs_are_steps_over_the_steps_of_an_epoch(name: str) -> None:
    by_epoch = row(schedule(name, unit=Unit.epoch, warmup=0.5), steps_per_epoch=1)
    by_step = row(schedule(name, unit=Unit.step, warmup=0.5))
    torch.testing.assert_close(by_epoch, by_step, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "polynomial"])
def test_epochs_of_7_steps_keep_float64s_digits(name: str) -> None:
    by_epoch = row(schedule(name), steps_per_epoch=7)
    by_step = row(schedule(name, unit=Unit.step))
    torch.testing.assert_close(by_epoch, by_step, rtol=1e-12, atol=1e-14)


def test_an_exponential_by_epoch_multiplies_by_gamma_every_epoch() -> None:
    values = row(schedule("exponential", gamma=0.5), base=0.8)
    wanted = [0.8 * 0.5 ** (k / 10) for k in range(TOTAL)]
    assert values.tolist() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("every", [0.1, 0.3, 0.7, 1.0])
def test_a_step_by_a_part_of_an_epoch_comes_at_its_step(every: float) -> None:
    values = row(schedule("step", every=every, gamma=0.5))
    wanted = [0.5 ** (k // round(10 * every)) for k in range(TOTAL)]
    assert values.tolist() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", plugins("schedule"))
def test_a_warm_up_rises_linearly_and_the_schedule_follows(name: str) -> None:
    warmup, later = 8, TOTAL - 8
    values = row(schedule(name, unit=Unit.step, warmup=float(warmup)))
    linear = torchs(lambda o: lr_scheduler.LinearLR(o, 1 / warmup, total_iters=warmup - 1), warmup)
    torch.testing.assert_close(values[:warmup], linear, rtol=1e-10, atol=0)
    plugin = schedule(name)
    times = torch.arange(later, dtype=torch.float64)
    wanted = plugin.factor(times, torch.tensor(later, dtype=torch.float64))
    torch.testing.assert_close(values[warmup:], wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("warmup", [40.0, 1e6])
def test_a_warm_up_may_last_to_the_end(warmup: float) -> None:
    values = row(schedule("cosine", unit=Unit.step, warmup=warmup))
    assert values.tolist() == pytest.approx([(k + 1) / warmup for k in range(TOTAL)], rel=1e-12)


@pytest.mark.parametrize("name", plugins("schedule"))
def test_a_schedule_stays_finite_after_the_end(name: str) -> None:
    values = row(schedule(name, unit=Unit.step), steps=3 * TOTAL)
    assert values.isfinite().all()
    assert (values >= 0).all()


LANES: dict[str, list[dict[str, float]]] = {
    "constant": [{}, {"warmup": 1.0}, {"warmup": 2.0}],
    "cosine": [{"final": 0.1}, {"final": 0.0, "warmup": 1.0}, {"final": 0.5}],
    "exponential": [{"gamma": 0.9}, {"gamma": 0.5}, {"gamma": 0.7, "warmup": 0.5}],
    "one_cycle": [{"rise": 0.2}, {"rise": 0.5, "div": 10.0}, {"final_div": 10.0}],
    "polynomial": [{"power": 2.0}, {"power": 0.5}, {"final": 0.3, "warmup": 1.0}],
    "step": [{"every": 1.0}, {"every": 2.0, "gamma": 0.5}, {"warmup": 1.5}],
}


@pytest.mark.parametrize("name", LANES)
def test_lanes_with_different_numbers_equal_single_schedules(name: str) -> None:
    lanes = [schedule(name, **fields) for fields in LANES[name]]
    together = row(*lanes, base=0.3)
    assert together.shape == (TOTAL, 3)
    assert together.dtype == torch.float64
    alone = torch.stack([row(lane, base=0.3) for lane in lanes], dim=1)
    torch.testing.assert_close(together, alone, rtol=1e-14, atol=1e-16)
    assert not math.isclose(together[:, 0].sum().item(), together[:, 1].sum().item())
