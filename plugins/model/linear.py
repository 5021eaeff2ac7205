import math

import torch
from torch import Tensor

from experiments import DataSpec, Model, Network, number, register


@register("linear")
class Linear(Model):
    """One affine layer of raw tensors: outputs = inputs @ weights.T + bias.

    Shapes: inputs [B, ...] are flattened to [B, features]; weights [outputs, features].
    """

    init_scale: float = number(1.0, at_least=0, lanes=True)

    def build(self, spec: DataSpec) -> Network:
        scale = self.init_scale / math.sqrt(spec.features)
        weights = (torch.randn(spec.outputs, spec.features) * scale).requires_grad_()
        bias = torch.zeros(spec.outputs).requires_grad_()
        return Network({"weights": weights, "bias": bias}, self.forward)

    def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ params["weights"].T + params["bias"]
