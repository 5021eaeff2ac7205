"""What a plugin of the rule may ask of a step, beside its gradient."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from experiments.plugin.draws import Draws
from experiments.rules.evaluations import Evaluations

_STRIDE = 0x1E3779B97F4A7C15  # odd: each step has a stream of noise of its own


class Again:
    """What a plugin may ask of a step, for what it sees of the parameters (see `Batch`).

    `vector` are all parameters [P]; `put` fills what the plugin sees into such a vector, and `take`
    takes it from one. `key` is the integer of the plugin's stream of noise.
    """

    def __init__(
        self,
        moment: "Moment",
        key: Tensor,
        vector: Tensor,
        put: Callable[[Tensor, Tensor], Tensor],
        take: Callable[[Tensor], Tensor],
    ) -> None:
        self.t, self.value = moment.t, moment.value
        self._evaluations, self._key = moment.evaluations, key + moment.time.long() * _STRIDE
        self._vector, self._put, self._take = vector, put, take
        self._draws: Draws | None = None

    def loss(self, param: Tensor) -> Tensor:
        """Return the loss (0-d) at other parameters."""
        return self._evaluations.loss(self._put(self._vector, param))

    def gradient(self, param: Tensor) -> Tensor:
        """Return the gradient at other parameters."""
        return self.loss_and_gradient(param)[1]

    def loss_and_gradient(self, param: Tensor) -> tuple[Tensor, Tensor]:
        """Return both at once, for the price of the gradient."""
        loss, gradient = self._evaluations.loss_and_gradient(self._put(self._vector, param))
        return loss, self._take(gradient)

    def hvp(self, param: Tensor, vector: Tensor) -> Tensor:
        """Return the product of the Hessian at `param` with a vector."""
        along = self._put(torch.zeros_like(self._vector), vector)
        return self._take(self._evaluations.hvp(self._put(self._vector, param), along))

    def noise(self, like: Tensor) -> Tensor:
        """Draw standard normal numbers like a tensor, which seed and step decide."""
        if self._draws is None:
            places = torch.arange(self._vector.numel(), device=like.device)
            self._draws = Draws(self._key, self._take(places).flatten())
        return self._draws.normal(dtype=like.dtype).view(like.shape)


class Moment(NamedTuple):
    """The step that a rule is at: its number, its loss (0-d), and its batch to look at again."""

    t: int
    time: Tensor  # t as a 0-d tensor
    value: Tensor
    evaluations: Evaluations
