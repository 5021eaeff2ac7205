import torch
from torch import Tensor, nn

from experiments import DataSpec, Model, register
from plugins.model import _objective
from plugins.model._deep_hessian import DIMENSION, hessian


@register("quadratic_deep")
class QuadraticDeep(Model):
    """DeepOBS's quadratic with a network's spectrum: ½(θ − x)ᵀQ(θ − x) for an item x, θ₀ = 1.

    90 eigenvalues of Q are below 1 and 10 are between 30 and 60 (Schneider, Balles & Hennig, 2019,
    after Chaudhari et al., 2017); they and their axes are the same in every run.
    Shapes: parameter `point` [100], inputs [B, 100], outputs [B, 1].
    """

    def build(self, spec: DataSpec) -> nn.Module:
        _objective.check(spec, features=DIMENSION)
        return _Quadratic()


class _Quadratic(nn.Module):
    hessian: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.ones(DIMENSION))
        self.register_buffer("hessian", hessian())

    def forward(self, inputs: Tensor) -> Tensor:
        apart = self.point - inputs
        return ((apart @ self.hessian) * apart).sum(1, keepdim=True) / 2
