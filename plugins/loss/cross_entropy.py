import copy

from torch import Tensor
from torch.nn import functional

from experiments import ClassWeights, DataSpec, Loss, Task, number, register
from plugins.loss import _rarity


@register("cross_entropy")
class CrossEntropy(Loss):
    """The negative log-likelihood of the classes, their targets mixed with a uniform share.

    Targets are classes [B], or each class's share [B, classes] as floating numbers. Label smoothing
    (Szegedy et al., 2016) is written as arithmetic, so that it may be a tensor. With class weights
    rare classes count more; unlike torch's, the mean over a batch stays one over its items, so that
    the batches of a pass add up.
    """

    tasks = frozenset({Task.classification})
    takes_shares = True
    label_smoothing: float = number(0.0, at_least=0, at_most=1, lanes=True)
    class_weights: ClassWeights | None = None

    def __post_init__(self) -> None:
        self._weights: _rarity.Weights | None = None

    def fit(self, spec: DataSpec) -> Loss:
        if self.class_weights is None:
            return self
        fitted = copy.copy(self)
        fitted._weights = _rarity.Weights(spec)
        return fitted

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        smooth, shares = self.label_smoothing, targets.is_floating_point()
        # The usual case takes torch's own kernel. In lanes the smoothing is a tensor, whose value
        # is not to be asked for.
        if self._weights is None and not shares and isinstance(smooth, int | float) and smooth == 0:
            return functional.cross_entropy(outputs, targets)
        log_probs = outputs.log_softmax(-1)
        if self._weights is not None:
            log_probs = log_probs * self._weights.like(outputs)
        if shares:
            likelihood = (targets * log_probs).sum(-1).mean()
        else:
            likelihood = log_probs.gather(-1, targets[..., None]).mean()
        return -((1 - smooth) * likelihood + smooth * log_probs.mean())
