from torch import nn

from experiments import DataSpec, Model, register


@register("resnet18")
class ResNet18(Model):
    """The residual network of 18 layers (He et al., 2016), torchvision's, without its weights.

    `small_images` replaces the 7x7 stem of stride 2 and its pooling by a 3x3 convolution, as is
    usual for images of 32x32 pixels.
    """

    small_images: bool = True

    def build(self, spec: DataSpec) -> nn.Module:
        from torchvision.models import resnet18

        if len(spec.input_shape) != 3:
            raise ValueError(f"it takes images [channels, height, width], not {spec.input_shape}")
        depth = spec.input_shape[0]
        network: nn.Module = resnet18(num_classes=spec.outputs)
        if self.small_images:
            network.conv1 = nn.Conv2d(depth, 64, 3, padding=1, bias=False)
            network.maxpool = nn.Identity()
        elif depth != 3:
            network.conv1 = nn.Conv2d(depth, 64, 7, stride=2, padding=3, bias=False)
        return network
