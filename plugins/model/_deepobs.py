"""What DeepOBS's networks share: normal weights without tails, and which images they take."""

from torch import nn

from experiments import DataSpec

# A normal distribution that is cut off at two standard deviations has this one.
_CUT = 0.87962566103423978


def images(spec: DataSpec, least: int) -> tuple[int, int, int]:
    """Return channels, height and width; raise ValueError where items are no such images."""
    if len(spec.input_shape) != 3 or min(spec.input_shape[1:]) < least:
        raise ValueError(
            f"it takes images [channels, height, width] of at least {least} x {least} pixels, "
            f"not {spec.input_shape}"
        )
    channels, height, width = spec.input_shape
    return channels, height, width


def draw_normal(layer: nn.Conv2d | nn.Linear, std: float, bias: float = 0.0) -> None:
    """Draw weights from N(0, std²) cut off at 2 std, as TensorFlow's truncated normal."""
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    _fill_bias(layer, bias)


def draw_xavier(layer: nn.Conv2d | nn.Linear) -> None:
    """Draw weights of variance 2 / (fan in + fan out): cut normal ones, of a layer uniform ones.

    Glorot & Bengio, 2010; that convolutions have the normal ones is DeepOBS's.
    """
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        _fill_bias(layer, 0.0)
    else:
        count, depth, *kernel = layer.weight.shape
        fans = (count + depth) * kernel[0] * kernel[1]
        draw_normal(layer, std=(2 / fans) ** 0.5 / _CUT)


def _fill_bias(layer: nn.Conv2d | nn.Linear, value: float) -> None:
    assert layer.bias is not None
    nn.init.constant_(layer.bias, value)
