"""The loss of a step's batch as a function of the parameters, for rules that look again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from experiments.plugin.spec import Tensors
from experiments.rules.params import Params

Examples = tuple[Tensor, Tensor]
LossFn = Callable[[Tensor, Tensor], Tensor]


class NetworkFunction(Protocol):
    """A network as a function of its parameters."""

    def __call__(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        """Return the outputs."""

    def aside(self) -> "NetworkFunction":
        """Return the same function, whose calls leave the running statistics alone."""


class Evaluations:
    """Computes the loss of one batch again, at other parameters, of one run or of all lanes.

    Its parts count by their share of the items. A model draws the same random numbers as in the
    step itself, where these can be drawn `again`, and its running statistics stay as they are.
    Shapes: parameters are [P] and losses 0-d, in lanes [K, P] and [K].
    """

    def __init__(
        self,
        model: NetworkFunction,
        loss_fn: LossFn,
        params: Params,
        parts: Sequence[Examples],
        *,
        again: bool = True,
    ) -> None:
        self._model, self._loss_fn, self._params, self._parts = model, loss_fn, params, parts
        self._items = sum(targets.numel() for _, targets in parts)
        self._device = params.vector.device
        self._random = self._state() if again else None
        self.counts = {"gradient": 0, "loss": 0}  # of what was computed beside the step's own

    def loss(self, vector: Tensor) -> Tensor:
        """Return the losses at other parameters."""
        self.counts["loss"] += 1
        return self._in_lanes(self._losses, vector)[0]

    def loss_and_gradient(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses and their gradients at other parameters."""
        self.counts["gradient"] += 1
        loss, gradient = self._in_lanes(self._losses_and_gradients, vector)
        return loss, gradient

    def hvp(self, vector: Tensor, direction: Tensor) -> Tensor:
        """Return the products of the Hessians at some parameters with vectors."""
        self.counts["gradient"] += 2
        return self._in_lanes(self._products, vector, direction)[0]

    def _in_lanes(self, function: Callable[..., Any], *vectors: Tensor) -> tuple[Tensor, ...]:
        if self._params.axis.count == 1:
            return function(*vectors)  # type: ignore[no-any-return]
        return _InLanes.apply(function, *vectors)  # type: ignore[no-any-return]

    def _losses(self, vector: Tensor) -> tuple[Tensor]:
        with self._same_draws():
            parts = list(self._of_parts(self._params.over(vector)))
        return (torch.stack(parts).sum(0),)

    @torch.enable_grad()
    def _losses_and_gradients(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        params = self._params.over(vector)
        losses = []
        with self._same_draws():
            for loss in self._of_parts(params):
                params.axis.total(loss).backward()
                losses.append(loss.detach())
        return torch.stack(losses).sum(0), params.gradient

    @torch.enable_grad()
    def _products(self, vector: Tensor, direction: Tensor) -> tuple[Tensor]:
        params = self._params.over(vector)
        leaves, along = list(params.tensors.values()), params.layout.split(direction)
        with self._same_draws():
            for loss in self._of_parts(params):
                gradients = torch.autograd.grad(
                    params.axis.total(loss), leaves, create_graph=True, materialize_grads=True
                )
                pairs = zip(gradients, along.values(), strict=True)
                slope = torch.stack([(g * v).sum() for g, v in pairs]).sum()
                if slope.requires_grad:  # as but a loss that is linear in the parameters has none
                    slope.backward()
        return (params.gradient,)

    def _of_parts(self, params: Params) -> Iterator[Tensor]:
        """Yield each part's share of the losses."""
        model = self._model.aside()
        for inputs, targets in self._parts:
            share = targets.numel() / self._items
            yield self._loss_fn(model(params.tensors, inputs), targets) * share

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        if self._random is None:
            yield
            return
        now = self._state()
        self._restore(self._random)
        try:
            yield
        finally:
            self._restore(now)

    def _state(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states

    def _restore(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._device)


class _InLanes(torch.autograd.Function):
    """Calls a function of all lanes from within what is vectorized over them."""

    @staticmethod
    def forward(function: Callable[..., Any], *vectors: Tensor) -> Any:
        """Call it."""
        return function(*vectors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: nobody takes the derivative of it."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, function: Callable[..., Any], *vectors: Tensor) -> Any:
        """Call it with the vectors of all lanes."""
        lanes = [
            vector.expand(info.batch_size, *vector.shape) if place is None else vector
            for vector, place in zip(vectors, in_dims[1:], strict=True)
        ]
        results = function(*lanes)
        return results, (0,) * len(results)
