from enum import Enum

import numpy as np
import torch
from torch import Tensor, nn

from experiments import DataSpec, Model, number, register
from plugins.model import _objective, _rotation


class Spectrum(Enum):
    """How eigenvalues lie between the largest and the smallest: at even ratios, or distances."""

    geometric = "geometric"
    linear = "linear"


@register("quadratic")
class Quadratic(Model):
    """A noisy quadratic of a chosen spectrum: ½θᵀHθ − xᵀHθ for an item x, lowest at θ = 0.

    It is ½(θ − x)ᵀH(θ − x) less what no θ changes (Schaul, Zhang & LeCun, 2013): the minimum moves
    to x with each item, and with x = 0 the loss is what is left to gain. The eigenvalues of H are
    from 1 down to 1 / `condition`.
    Shapes: parameter `point` [D], inputs [B, D], outputs [B, 1].
    """

    condition: float = number(100.0, at_least=1)
    spectrum: Spectrum = Spectrum.geometric
    start: float = 1.0  # every coordinate's
    # seed of a rotation of the eigenvectors (x is rotated with them); null: they are the axes
    rotation: int | None = number(None, at_least=0, below=2**32)

    def build(self, spec: DataSpec) -> nn.Module:
        _objective.check(spec)
        rotation = None
        if self.rotation is not None and spec.features > 1:
            rotation = _rotation.drawn(spec.features, np.random.RandomState(self.rotation))
        start = torch.full((spec.features,), self.start, dtype=torch.double)
        return _Quadratic(self._eigenvalues(spec.features), rotation, start)

    def _eigenvalues(self, count: int) -> Tensor:
        share = torch.linspace(0, 1, count, dtype=torch.double)
        if self.spectrum is Spectrum.geometric:
            return self.condition**-share
        return 1 - share * (1 - 1 / self.condition)


class _Quadratic(nn.Module):
    eigenvalues: Tensor
    rotation: Tensor | None

    def __init__(self, eigenvalues: Tensor, rotation: Tensor | None, start: Tensor) -> None:
        super().__init__()
        self.point = nn.Parameter(start)
        self.register_buffer("eigenvalues", eigenvalues)
        self.register_buffer("rotation", rotation)

    def forward(self, inputs: Tensor) -> Tensor:
        place = self.point if self.rotation is None else self.rotation @ self.point
        return ((place / 2 - inputs) @ (self.eigenvalues * place)).unsqueeze(1)
