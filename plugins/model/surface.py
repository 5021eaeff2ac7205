import math

import torch
from torch import Tensor

from experiments import DataSpec, Landmarks, Model, Network, options, register
from plugins.model import _objective
from plugins.model._surfaces import SURFACES, Surface


@register("surface")
class SurfaceModel(Model):
    """A function of two parameters, whose output is its value: f(x, y) + ux + vy.

    (u, v) is the item, as in DeepOBS's noisy functions (Schneider, Balles & Hennig, 2019): it is
    added to the gradient. Functions: rosenbrock, beale, branin, himmelblau, rastrigin.
    Shapes: parameter `point` [2], inputs [B, 2], outputs [B, 1].
    """

    function: str = "rosenbrock"
    start: list[float] | None = None  # x and y; null: the function's usual ones

    def __post_init__(self) -> None:
        if self.function not in SURFACES:
            raise ValueError(f"function={self.function}: {options(self.function, SURFACES)}")
        if self.start is not None and not (
            len(self.start) == 2 and all(map(math.isfinite, self.start))
        ):
            raise ValueError(f"start={self.start} must be two finite numbers, x and y")

    @property
    def surface(self) -> Surface:
        """The function with its minima, and what of it to draw."""
        return SURFACES[self.function]

    def build(self, spec: DataSpec) -> Network:
        _objective.check(spec, features=2)
        start = torch.tensor(self.start or self.surface.start, dtype=torch.double)
        return Network({"point": start.requires_grad_()}, self.forward)

    def landmarks(self) -> Landmarks:
        return Landmarks(minima=self.surface.minima, box=self.surface.box)

    def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        point = params["point"]
        value = self.surface.function(point[0], point[1])
        return (value + inputs @ point).unsqueeze(1)
