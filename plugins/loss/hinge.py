from torch import Tensor

from experiments import Loss, Task, number, register


@register("hinge")
class Hinge(Loss):
    """Multi-class hinge: the mean over classes j ≠ y of max(0, margin − logit_y + logit_j).

    The sum is divided by the number of classes, as in `torch.nn.MultiMarginLoss`
    (Crammer & Singer, 2001, use the largest term instead).
    """

    tasks = frozenset({Task.classification})
    margin: float = number(1.0, above=0)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        own = outputs.gather(-1, targets[..., None])
        margins = (self.margin - own + outputs).relu()
        # The target's own term is the margin itself; it does not depend on the outputs.
        return (margins.sum(-1) - self.margin).mean() / outputs.shape[-1]
