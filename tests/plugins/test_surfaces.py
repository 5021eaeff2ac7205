"""Functions of two parameters: their values at known points, and that nothing is lower."""

import pytest
import torch
from descents import given
from torch import Tensor

from plugins.model._surfaces import SURFACES, Point, Surface

EVERY = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)


def at(surface: Surface, point: Point) -> float:
    x, y = torch.tensor(point, dtype=torch.float64)
    return surface.function(x, y).item()


def grid(surface: Surface, points: int = 401) -> Tensor:
    low_x, high_x, low_y, high_y = surface.box
    x = torch.linspace(low_x, high_x, points, dtype=torch.float64)
    y = torch.linspace(low_y, high_y, points, dtype=torch.float64)
    return surface.function(*torch.meshgrid(x, y, indexing="ij"))


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("rosenbrock", (-0.5, 1.5), 158.5),
        ("rosenbrock", (-1.2, 1.0), 24.2),
        ("beale", (-4.5, 4.5), 169_680.83),
        ("branin", (2.5, 12.5), 95.8447),
        ("branin", (9.42478, 2.475), 0.397887),
        ("himmelblau", (0.0, 0.0), 170.0),
        ("rastrigin", (0.5, 0.5), 40.5),
    ],
)
def test_a_surface_has_its_published_value(name: str, point: Point, value: float) -> None:
    assert at(SURFACES[name], point) == pytest.approx(value, rel=1e-6)


@EVERY
def test_every_minimum_is_as_low_as_said_and_flat(surface: Surface) -> None:
    for minimum in surface.minima:
        point = torch.tensor(minimum, dtype=torch.float64, requires_grad=True)
        value = surface.function(*point)
        value.backward()
        assert value.item() == pytest.approx(surface.lowest, abs=1e-12)
        assert point.grad is not None
        assert point.grad.abs().max() < 1e-9


@EVERY
def test_nothing_in_the_box_is_lower_than_the_minima(surface: Surface) -> None:
    values = grid(surface)
    assert values.min() >= surface.lowest - 1e-12
    assert values.max() > surface.lowest + 10


@EVERY
def test_the_box_holds_the_start_and_the_minima(surface: Surface) -> None:
    low_x, high_x, low_y, high_y = surface.box
    for x, y in (surface.start, *surface.minima):
        assert low_x <= x <= high_x
        assert low_y <= y <= high_y


def test_the_model_says_what_a_picture_shows_of_it() -> None:
    shown = given("model", "surface", function="branin").landmarks()
    assert shown.minima == SURFACES["branin"].minima
    assert shown.box == SURFACES["branin"].box
