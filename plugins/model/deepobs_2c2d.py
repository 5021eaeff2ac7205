from torch import nn

from experiments import DataSpec, Model, register
from plugins.model import _deepobs


@register("deepobs_2c2d")
class Deepobs2c2d(Model):
    """DeepOBS's `2c2d`: two 5x5 convolutions, each pooled by 2, and a layer of 1024.

    Weights are normal of deviation 0.05, cut off at two of them; biases are 0.05 (Schneider, Balles
    & Hennig, 2019). 28 x 28 grey pixels and 10 classes make 3,274,634 parameters.
    """

    def build(self, spec: DataSpec) -> nn.Module:
        channels, height, width = _deepobs.images(spec, least=4)
        first = nn.Conv2d(channels, 32, 5, padding=2)
        second = nn.Conv2d(32, 64, 5, padding=2)
        # An odd side has a pixel more for its last window, as with TensorFlow's padding "same".
        pools = [nn.MaxPool2d(2, ceil_mode=True) for _ in range(2)]
        dense = nn.Linear(64 * -(-height // 4) * -(-width // 4), 1024)
        last = nn.Linear(1024, spec.outputs)
        for layer in (first, second, dense, last):
            _deepobs.draw_normal(layer, std=0.05, bias=0.05)
        return nn.Sequential(
            first, nn.ReLU(), pools[0],
            second, nn.ReLU(), pools[1],
            nn.Flatten(),
            dense, nn.ReLU(),
            last,
        )  # fmt: skip
