from typing import TYPE_CHECKING

from torch import Tensor

from experiments import Augment, DataSpec, number, register

if TYPE_CHECKING:
    from experiments import Draws


@register("noise")
class Noise(Augment):
    """Add Gaussian noise to every number of an input (Bishop, 1995: it acts as a penalty).

    `std` is in deviations of the data, since inputs are normalised. Inputs may have any shape.
    """

    std: float = number(0.1, at_least=0)

    def __call__(
        self, inputs: Tensor, targets: Tensor, draws: "Draws", spec: DataSpec
    ) -> tuple[Tensor, Tensor]:
        noise = draws.normal(*inputs.shape[1:], dtype=inputs.dtype)
        return inputs + self.std * noise, targets
