import torch
from torch import Tensor, nn

from experiments import DataSpec, Model, number, register


@register("dynamic")
class Dynamic(Model):
    """A network whose depth depends on its data: one layer is applied again while it changes much.

    It shows that a forward pass is a program: Python's `for` and `if` decide, for every batch, what
    the graph of `backward()` is. As it branches on values, lanes and compilation cannot take it.
    """

    width: int = number(64, at_least=1)
    most: int = number(4, at_least=0)
    tolerance: float = number(0.5, at_least=0)

    def build(self, spec: DataSpec) -> nn.Module:
        return _Repeating(spec, self.width, self.most, self.tolerance)


class _Repeating(nn.Module):
    def __init__(self, spec: DataSpec, width: int, most: int, tolerance: float) -> None:
        super().__init__()
        self.most, self.tolerance = most, tolerance
        self.enter = nn.Linear(spec.features, width)
        self.repeated = nn.Linear(width, width)
        self.leave = nn.Linear(width, spec.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        values = torch.relu(self.enter(inputs.flatten(1)))
        for _ in range(self.most):
            change = torch.relu(self.repeated(values))
            values = values + change
            if change.norm() < self.tolerance * values.norm():
                break
        output: Tensor = self.leave(values)
        return output
