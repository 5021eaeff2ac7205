"""The works that every contender does: a network, an update rule and a batch size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ITEMS = 60_000
MEAN, STD = 0.2860, 0.3530  # of pixels between 0 and 1

Take = Callable[[int], None]  # takes n steps, and returns when they are computed


@dataclass(frozen=True, slots=True)
class Affine:
    """A matrix product with `fan_in` x `fan_out` weights."""

    fan_in: int
    fan_out: int

    @property
    def flops(self) -> int:
        """Count the floating-point operations of one item's product."""
        return 2 * self.fan_in * self.fan_out


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 3x3 convolution with padding 1 of images with `side` x `side` pixels."""

    fan_in: int
    fan_out: int
    side: int

    @property
    def flops(self) -> int:
        """Count the floating-point operations of one image's convolution."""
        return 2 * 9 * self.fan_in * self.fan_out * self.side**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One kind of training; the smaller batch that an epoch would end with is left out."""

    name: Literal["linear", "mlp", "cnn"]
    batch_size: int
    rule: Literal["sgd", "momentum", "adam"]
    lr: float
    layers: tuple[Affine | Convolution, ...]
    round: int  # steps that a contender takes in its turn

    @property
    def steps_per_epoch(self) -> int:
        """Count the whole batches of an epoch."""
        return ITEMS // self.batch_size

    @property
    def flops(self) -> int:
        """Count the operations of one step's products: outputs, weight and input gradients.

        The first layer's inputs need no gradient.
        """
        passes = 3 * sum(layer.flops for layer in self.layers) - self.layers[0].flops
        return self.batch_size * passes


_ALL = (
    Work(
        name="linear",
        batch_size=64,
        rule="sgd",
        lr=0.1,
        layers=(Affine(784, 10),),
        round=937,
    ),
    Work(
        name="mlp",
        batch_size=128,
        rule="adam",
        lr=1e-3,
        layers=(Affine(784, 128), Affine(128, 10)),
        round=468,
    ),
    Work(
        name="cnn",
        batch_size=128,
        rule="momentum",
        lr=0.05,
        layers=(Convolution(1, 16, 28), Convolution(16, 32, 14), Affine(1568, 10)),
        round=40,
    ),
)
WORKS: dict[str, Work] = {work.name: work for work in _ALL}
