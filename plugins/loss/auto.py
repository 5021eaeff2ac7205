from torch import Tensor

from experiments import DataSpec, Loss, Task, lookup, register

_NAMES = {Task.classification: "cross_entropy", Task.regression: "mse"}


@register("auto")
class Auto(Loss):
    """The usual loss of the task: cross entropy for classes, the mean square for numbers."""

    tasks = frozenset(Task)
    takes_shares = True

    def fit(self, spec: DataSpec) -> Loss:
        loss = lookup("loss", _NAMES[spec.task])()
        assert isinstance(loss, Loss)
        return loss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        raise TypeError("the task decides which loss this is: call fit(spec) first")
