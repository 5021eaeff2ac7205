"""Functions of two parameters on which rules are compared: where they start, and what is lowest.

Starting points are DeepOBS's (Schneider, Balles & Hennig, 2019) where it has the function.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """A function of x and y, elementwise, with where to start on it and all its lowest points.

    `box` is what to draw: x from the first number to the second, y from the third to the fourth.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    start: Point
    minima: tuple[Point, ...]
    lowest: float = 0.0
    box: tuple[float, float, float, float]


def _rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """A curved valley whose floor is almost flat (Rosenbrock, 1960)."""
    return (1 - x).square() + 100 * (y - x.square()).square()


def _beale(x: Tensor, y: Tensor) -> Tensor:
    """A plateau between steep walls (Beale, 1958)."""
    products = ((1.5, y), (2.25, y.square()), (2.625, y**3))
    first, second, third = (constant - x + x * power for constant, power in products)
    return first.square() + second.square() + third.square()


def _branin(x: Tensor, y: Tensor) -> Tensor:
    """Three equal minima, the lowest value 10 / 8π (Branin, 1972)."""
    parabola = y - 5.1 / (4 * math.pi**2) * x.square() + 5 / math.pi * x - 6
    return parabola.square() + 10 * (1 - 1 / (8 * math.pi)) * x.cos() + 10


def _himmelblau(x: Tensor, y: Tensor) -> Tensor:
    """Four equal minima around a hill (Himmelblau, 1972)."""
    return (x.square() + y - 11).square() + (x + y.square() - 7).square()


def _rastrigin(x: Tensor, y: Tensor) -> Tensor:
    """A bowl covered with local minima, about 1 apart (Rastrigin, 1974)."""
    waves = (2 * math.pi * x).cos() + (2 * math.pi * y).cos()
    return 20 + x.square() + y.square() - 10 * waves


SURFACES = {
    "rosenbrock": Surface(
        function=_rosenbrock, start=(-0.5, 1.5), minima=((1.0, 1.0),), box=(-2.0, 2.0, -1.0, 3.0)
    ),
    "beale": Surface(
        function=_beale, start=(-4.5, 4.5), minima=((3.0, 0.5),), box=(-5.0, 5.0, -5.0, 5.0)
    ),
    "branin": Surface(
        function=_branin,
        start=(2.5, 12.5),
        minima=((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)),
        lowest=10 / (8 * math.pi),
        box=(-5.0, 10.0, 0.0, 15.0),
    ),
    "himmelblau": Surface(
        function=_himmelblau,
        start=(0.0, 0.0),
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        box=(-6.0, 6.0, -6.0, 6.0),
    ),
    "rastrigin": Surface(
        function=_rastrigin, start=(-2.2, 3.3), minima=((0.0, 0.0),), box=(-5.12, 5.12, -5.12, 5.12)
    ),
}
