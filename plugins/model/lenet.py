from torch import nn

from experiments import DataSpec, Model, register


@register("lenet")
class LeNet(Model):
    """LeNet-5 with ReLU and max pooling (after LeCun et al., 1998).

    Two 5x5 convolutions, each pooled by 2, and layers of 120 and 84; the first convolution is
    padded by 2, so that 28x28 images give the paper's 16 maps of 5x5.
    """

    def build(self, spec: DataSpec) -> nn.Module:
        if len(spec.input_shape) != 3:
            raise ValueError(f"it takes images [channels, height, width], not {spec.input_shape}")
        depth, *sides = spec.input_shape
        if min(sides) < 12:
            raise ValueError(f"it takes images of at least 12x12 pixels, not {spec.input_shape}")
        height, width = ((side // 2 - 4) // 2 for side in sides)
        convolutions = [
            nn.Conv2d(depth, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        ]  # fmt: skip
        layers = [
            nn.Flatten(),
            nn.Linear(16 * height * width, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, spec.outputs),
        ]  # fmt: skip
        return nn.Sequential(*convolutions, *layers)
