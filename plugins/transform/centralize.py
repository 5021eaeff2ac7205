from typing import ClassVar

from torch import Tensor

from experiments import Scope, State, Transform, register


@register("centralize")
class Centralize(Transform):
    """Take from the gradient of each output's weights their mean (Yong et al., 2020).

    Of a matrix [outputs, inputs] each row, of a convolution each filter; vectors stay as they are.
    What stands before it in `transform=[...]` is centred too: coupled decay, as in the paper.
    """

    scope: ClassVar[Scope] = Scope.tensor

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        if grad.dim() < 2:
            return grad, state
        return grad - grad.mean(tuple(range(1, grad.dim())), keepdim=True), state
