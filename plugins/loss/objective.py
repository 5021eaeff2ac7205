from torch import Tensor

from experiments import Loss, Task, register


@register("objective")
class Objective(Loss):
    """The mean of the model's outputs, which are the losses of the items themselves."""

    tasks = frozenset({Task.objective})

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.mean()
