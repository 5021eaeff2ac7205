from itertools import pairwise

from torch import nn

from experiments import DataSpec, Model, number, register
from plugins.model._dropout import dropout


@register("cnn")
class CNN(Model):
    """Blocks of 3x3 convolution, ReLU and 2x2 pooling, then one affine layer.

    Each block halves height and width, so images need at least 2 pixels a side per halving.
    """

    channels: list[int] = number([16, 32], at_least=1)
    dropout: float = number(0.0, at_least=0, below=1, lanes=True)

    def build(self, spec: DataSpec) -> nn.Module:
        if len(spec.input_shape) != 3:
            raise ValueError(f"it takes images [channels, height, width], not {spec.input_shape}")
        depth, height, width = spec.input_shape
        blocks: list[nn.Module] = []
        for fan_in, fan_out in pairwise([depth, *self.channels]):
            if min(height, width) < 2:
                raise ValueError(
                    f"{len(self.channels)} poolings are too many for {spec.input_shape}"
                )
            blocks += [nn.Conv2d(fan_in, fan_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            height, width = height // 2, width // 2
        features = [depth, *self.channels][-1] * height * width
        head = [nn.Flatten(), dropout(self.dropout), nn.Linear(features, spec.outputs)]
        return nn.Sequential(*blocks, *head)
