from torch import Tensor

from experiments import Loss, Task, number, register


@register("cross_entropy")
class CrossEntropy(Loss):
    """The negative log-likelihood of the classes, their targets mixed with a uniform share.

    Label smoothing (Szegedy et al., 2016) is written as arithmetic, so that it may be a tensor.
    """

    tasks = frozenset({Task.classification})
    label_smoothing: float = number(0.0, at_least=0, at_most=1)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        log_probs = outputs.log_softmax(-1)
        likelihood = log_probs.gather(-1, targets[..., None]).mean()
        smooth = self.label_smoothing
        return -((1 - smooth) * likelihood + smooth * log_probs.mean())
