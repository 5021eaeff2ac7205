import torch
from torch import Tensor
from torch.nn.functional import one_hot

from experiments import Metric, Task, register


@register("f1")
class F1(Metric):
    """The mean over classes of 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    A class that is neither a target nor predicted is left out of the mean, as in torchmetrics'
    macro average.
    """

    tasks = frozenset({Task.classification})

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        classes = outputs.shape[-1]
        predicted = one_hot(outputs.argmax(-1), classes)
        actual = one_hot(targets, classes)
        return torch.stack([(predicted * actual).sum(0), (predicted + actual).sum(0)]).flatten()

    def value(self, total: Tensor) -> Tensor:
        hits, occurrences = total.unflatten(-1, (2, -1))
        seen = occurrences > 0
        mean: Tensor = (2 * hits / occurrences.clamp(min=1)).sum() / seen.sum()
        return mean
