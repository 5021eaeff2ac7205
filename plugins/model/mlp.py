import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import linear

from experiments import DataSpec, Model, Network, number, register


@register("mlp")
class MLP(Model):
    """Affine layers of raw tensors with ReLU between them; He initialisation (He et al., 2015)."""

    hidden: list[int] = number([128], at_least=1)
    init_scale: float = number(1.0, at_least=0, lanes=True)

    def build(self, spec: DataSpec) -> Network:
        sizes = [spec.features, *self.hidden, spec.outputs]
        tensors = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            gain = math.sqrt(2) if layer <= len(self.hidden) else 1.0
            scale = self.init_scale * gain / math.sqrt(fan_in)
            tensors[f"weights{layer}"] = (torch.randn(fan_out, fan_in) * scale).requires_grad_()
            tensors[f"bias{layer}"] = torch.zeros(fan_out).requires_grad_()
        return Network(tensors, self.forward)

    def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        values = inputs.flatten(1)
        for layer in range(1, len(self.hidden) + 2):
            if layer > 1:
                values = values.relu()
            values = linear(values, params[f"weights{layer}"], params[f"bias{layer}"])
        return values
