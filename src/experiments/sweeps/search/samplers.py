"""The samplers that need no library of studies: each point follows from a seed and a position.

So a search that was interrupted has the same points after it has gone on.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from torch.quasirandom import SobolEngine

from experiments.errors import ConfigError
from experiments.sweeps.search.settings import Sampler, Search
from experiments.sweeps.search.space import Categories, Point, Space, Span, combinations

_SIGMA = 0.25  # of the first generation, in units of a setting's span


def check_space(sampler: Sampler, space: Space) -> None:
    """Refuse a space that a sampler cannot take; raise ConfigError."""
    if not space:
        raise ConfigError("Nothing is varied: give a setting several values, or an interval.")
    for key, axis in space.items():
        if sampler is Sampler.grid and isinstance(axis, Span) and axis.step is None:
            raise ConfigError(
                f"{key}={axis}: a grid needs a list of values, as in range(0,1,0.1); "
                "hydra.sweeper.sampler=quasi_random covers an interval."
            )
        if sampler is Sampler.cmaes and isinstance(axis, Categories):
            raise ConfigError(
                f"{key}={axis}: cmaes needs numbers, as in interval(0,1); "
                "hydra.sweeper.sampler=tpe takes names too."
            )
    if sampler is Sampler.quasi_random and len(space) > SobolEngine.MAXDIM:
        raise ConfigError(f"quasi_random varies at most {SobolEngine.MAXDIM} settings.")


def description(settings: Search, space: Space) -> dict[str, str]:
    """Return what a study keeps to when it goes on, by the keys of a command line."""
    told = {key: str(axis) for key, axis in space.items()}
    told["hydra.sweeper.sampler"] = settings.sampler.value
    if settings.sampler is Sampler.cmaes:
        told["hydra.sweeper.batch"] = str(population(space, settings.at_once))
    return told


def derived(seed: int, position: int) -> int:
    """Return a seed of its own for each position."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])


def drawn(space: Space, seed: int, position: int) -> Point:
    """Return a random point."""
    return _at(space, np.random.default_rng([seed, position]).random(len(space)))


def spread(space: Space, seed: int, position: int) -> Point:
    """Return a point of a scrambled Sobol' sequence."""
    # Derived, as generators draw much the same from seeds that have few bits set.
    engine = SobolEngine(len(space), scramble=True, seed=derived(seed, 0))
    if position:
        engine.fast_forward(position)
    return _at(space, engine.draw(1)[0].tolist())


def shuffled(space: Space, seed: int) -> list[Point]:
    """Return every combination, in an order in which the first ones are not all alike."""
    points = combinations(space)
    order = np.random.default_rng([seed]).permutation(len(points))
    return [points[i] for i in order]


def population(space: Space, at_once: int) -> int:
    """Return how many points make a generation: those asked for at once, if they are enough."""
    return max(at_once, 4 + int(3 * math.log(len(space))))  # Hansen 2016, eq. 48


def evolved(
    space: Space, past: Sequence[tuple[Point, float]], size: int, *, seed: int, at_once: int
) -> list[Point]:
    """Return the next points of CMA-ES after others and their losses, of which inf is the worst.

    The distribution is made again from the points each time, so that there is none to be kept.
    Source: Hansen, "The CMA Evolution Strategy: A Tutorial" (2016).
    """
    from cmaes import CMA

    members = population(space, at_once)
    dim = len(space)
    rule = CMA(
        mean=np.full(dim, 0.5),
        sigma=_SIGMA,
        bounds=np.array([[0.0, 1.0]] * dim),
        seed=derived(seed, len(past)),
        population_size=members,
    )
    for begin in range(0, len(past) - members + 1, members):
        rule.tell([(_units(space, p), loss) for p, loss in past[begin : begin + members]])
    return [_at(space, rule.ask()) for _ in range(size)]


def _units(space: Space, point: Point) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    spans = {key: axis for key, axis in space.items() if isinstance(axis, Span)}
    assert spans.keys() == space.keys()  # as `check_space` has seen to
    return np.array([span.unit(float(point[key])) for key, span in spans.items()])


def _at(space: Space, units: Iterable[float]) -> Point:
    return {
        key: axis.at(float(unit)) for (key, axis), unit in zip(space.items(), units, strict=True)
    }
