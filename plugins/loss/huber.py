import torch
from torch import Tensor

from experiments import Loss, Task, number, register


@register("huber")
class Huber(Loss):
    """Square for errors up to delta, linear beyond: e²/2, else δ (|e| − δ/2) (Huber, 1964)."""

    tasks = frozenset({Task.regression})
    delta: float = number(1.0, above=0, lanes=True)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        error = (outputs.reshape(targets.shape) - targets).abs()
        near = torch.minimum(error, torch.ones_like(error) * self.delta)
        return (near * (error - near / 2)).mean()
