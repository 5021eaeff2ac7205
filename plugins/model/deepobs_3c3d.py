from torch import nn

from experiments import DataSpec, Model, register
from plugins.model import _deepobs


@register("deepobs_3c3d")
class Deepobs3c3d(Model):
    """DeepOBS's `3c3d`: convolutions of 64, 96 and 128, each pooled, and layers of 512 and 256.

    Weights are Xavier's, biases 0. 32 x 32 pixels in colour and 10 classes make 895,210 parameters
    (Schneider, Balles & Hennig, 2019). Its published losses have ½ 0.002 Σw² of the weights added,
    but not of the biases; here that is a `weight_decay`, which acts in the gradient alone.
    """

    def build(self, spec: DataSpec) -> nn.Module:
        channels, height, width = _deepobs.images(spec, least=16)
        height, width = (_side(side) for side in (height, width))
        convolutions = [
            nn.Conv2d(channels, 64, 5), nn.Conv2d(64, 96, 3), nn.Conv2d(96, 128, 3, padding=1)
        ]  # fmt: skip
        dense = [
            nn.Linear(128 * height * width, 512), nn.Linear(512, 256),
            nn.Linear(256, spec.outputs),
        ]  # fmt: skip
        layers: list[nn.Conv2d | nn.Linear] = [*convolutions, *dense]
        for layer in layers:
            _deepobs.draw_xavier(layer)
        blocks: list[nn.Module] = []
        for convolution in convolutions:
            # The last window may go beyond an edge, as with TensorFlow's padding "same".
            blocks += [convolution, nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)]
        return nn.Sequential(
            *blocks, nn.Flatten(),
            dense[0], nn.ReLU(), dense[1], nn.ReLU(), dense[2],
        )  # fmt: skip


def _side(side: int) -> int:
    """Return the side of what the last pooling leaves of an image's."""
    for lost in (4, 2, 0):
        side = (side - lost) // 2
    return side
