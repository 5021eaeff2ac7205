from itertools import pairwise

from torch import nn

from experiments import DataSpec, Model, register
from plugins.model import _deepobs


@register("deepobs_mlp")
class DeepobsMLP(Model):
    """DeepOBS's `mlp`: layers of 1000, 500 and 100 with ReLU (Schneider, Balles & Hennig, 2019).

    Weights are normal of deviation 0.03, cut off at two of them; biases are 0. 28 x 28 pixels and
    10 classes make 1,336,610 parameters.
    """

    def build(self, spec: DataSpec) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise([spec.features, 1000, 500, 100, spec.outputs]):
            layer = nn.Linear(fan_in, fan_out)
            _deepobs.draw_normal(layer, std=0.03)
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1])
