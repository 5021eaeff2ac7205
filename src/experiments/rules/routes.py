"""Which rule takes which parameters."""

from collections.abc import Mapping, Sequence

from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.plugin.rulepart import Optimizer, Route
from experiments.plugin.spec import Tensors
from experiments.rules.layout import Layout

OPTIMIZER = "optimizer"  # the key of its numbers and, alone or before a route's name, of its memory


def routes_of(optimizers: Sequence[Optimizer], layout: Layout) -> dict[str, list[Route]]:
    """Return the routes of each lane's optimizer by name; raise ConfigError where they are none."""
    lanes = [_of_one(optimizer, layout) for optimizer in optimizers]
    return {name: [lane[name] for lane in lanes] for name in lanes[0]}


def numbers_of(name: str, numbers: Mapping[str, Tensors]) -> Tensors:
    """Return the numbers of a route's rule: its lr counts times that of the whole."""
    return numbers[name] | {"lr": numbers[name]["lr"] * numbers[OPTIMIZER]["lr"]}


def _of_one(optimizer: Optimizer, layout: Layout) -> dict[str, Route]:
    try:
        routes = optimizer.routes(layout.places)
    except ValueError as error:
        name = registry.name_of(type(optimizer))
        raise ConfigError(f"optimizer={name}: {str(error).rstrip('.')}.") from error
    return {f"{OPTIMIZER}.{name}" if name else OPTIMIZER: own for name, own in routes.items()}
