from torch import Tensor

from experiments import ClassWeights, ConfigError, DataSpec, Loss, Task, lookup, register

_NAMES = {
    Task.classification: "cross_entropy",
    Task.regression: "mse",
    Task.objective: "mean_output",
}


@register("auto")
class Auto(Loss):
    """The usual loss of the task: cross entropy for classes, the mean square for numbers.

    Of an objective it is the objective itself.
    """

    tasks = frozenset(Task)
    takes_shares = True
    class_weights: ClassWeights | None = None  # of a classification

    def fit(self, spec: DataSpec) -> Loss:
        if spec.task is Task.classification:
            own = {"class_weights": self.class_weights}
        elif self.class_weights is None:
            own = {}
        else:
            raise ConfigError(
                f"loss.class_weights=balanced: the task {spec.task.name} has no classes."
            )
        loss = lookup("loss", _NAMES[spec.task])(**own)
        assert isinstance(loss, Loss)
        return loss.fit(spec)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        raise TypeError("the task decides which loss this is: call fit(spec) first")
