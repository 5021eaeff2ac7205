from torch import Tensor
from torch.nn import functional

from experiments import Loss, Task, number, register


@register("cross_entropy")
class CrossEntropy(Loss):
    """The negative log-likelihood of the classes, their targets mixed with a uniform share.

    Targets are classes [B], or each class's share [B, classes] as floating numbers. Label smoothing
    (Szegedy et al., 2016) is written as arithmetic, so that it may be a tensor.
    """

    tasks = frozenset({Task.classification})
    takes_shares = True
    label_smoothing: float = number(0.0, at_least=0, at_most=1, lanes=True)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        smooth, shares = self.label_smoothing, targets.is_floating_point()
        # The usual case takes torch's own kernel. In lanes the smoothing is a tensor, whose value
        # is not to be asked for.
        if isinstance(smooth, int | float) and smooth == 0 and not shares:
            return functional.cross_entropy(outputs, targets)
        log_probs = outputs.log_softmax(-1)
        if shares:
            likelihood = (targets * log_probs).sum(-1).mean()
        else:
            likelihood = log_probs.gather(-1, targets[..., None]).mean()
        return -((1 - smooth) * likelihood + smooth * log_probs.mean())
