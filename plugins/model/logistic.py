import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from experiments import DataSpec, Model, Network, number, register
from plugins.model import _objective


@register("logistic")
class Logistic(Model):
    """Logistic regression with a penalty: log(1 + exp(−z·w)) + ½ l2 |w|² for an item z = y x.

    The output is the loss, as the penalty is part of what has a known minimum; y is −1 or 1.
    Shapes: parameter `weights` [D], inputs [B, D], outputs [B, 1].
    """

    l2: float = number(0.01, at_least=0)  # as that of dataset=logistic, which `optimum` is for

    def build(self, spec: DataSpec) -> Network:
        _objective.check(spec)
        return Network({"weights": torch.zeros(spec.features).requires_grad_()}, self.forward)

    def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        weights = params["weights"]
        penalty = self.l2 / 2 * weights.square().sum()
        return (penalty - logsigmoid(inputs @ weights)).unsqueeze(1)
