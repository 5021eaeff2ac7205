"""Flat parameters: every parameter is a view of one vector, every gradient a view of another.

An elementwise rule then runs once over the whole model, gradients are zeroed in one call, and a
global norm is one reduction.
"""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from experiments.plugin.spec import Network, Tensors
from experiments.rules.axis import Axis
from experiments.rules.layout import Layout, initial_tensors, layout_of

LARGE = 2**16  # numbers of one run, beyond which a pass over memory costs more than a call


class Gradients:
    """The gradients of leaves as backward leaves them, each in memory of its own.

    The first of a step are taken as they come, and not added to zeros; that saves two passes over
    the memory of large models.
    """

    def __init__(self, layout: Layout, leaves: Tensors) -> None:
        self._layout, self._leaves = layout, leaves

    @property
    def vector(self) -> Tensor:
        """Join the gradients; a leaf that the loss does not depend on has zeros."""
        return self._layout.join({n: gradient_of(leaf) for n, leaf in self._leaves.items()})

    def zero_(self) -> None:
        """Forget the gradients: what is not there counts as zero."""
        for leaf in self._leaves.values():
            leaf.grad = None


class Params:
    """The parameters of one network, or of K networks of the same shapes (lanes).

    Shapes: `vector` is [P], in lanes [K, P], and so are `grads`, but those of a large model, which
    are `Gradients`; `tensors` maps each name to a leaf tensor of the parameter's own shape, in
    lanes with K before it. The leaves share memory with `vector`, their `.grad` with `grads`.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module | Network],
        device: torch.device,
        dtype: torch.dtype,
        *,
        channels_last: bool = False,
    ) -> None:
        if len(networks) > 1:
            # A lane's parameter is a strided view, and so is its gradient: autograd advises dense
            # gradients, which measure no faster here and would need a copy a step.
            warnings.filterwarnings("ignore", message="grad and param do not obey the gradient")
        self.axis = Axis(len(networks))
        self.layout = layout_of(networks[0], channels_last=channels_last)
        initial = self.axis.join([self.layout.join(initial_tensors(n)) for n in networks])
        # A plain run trains the network's own tensors, so that a module needs no substitution in
        # its forward pass; lanes train new leaves.
        own = initial_tensors(networks[0]) if len(networks) == 1 else {}
        self._hold(initial.to(device, dtype, copy=True), own)

    @property
    def gradient(self) -> Tensor:
        """The gradients as one vector, of the shape of `vector`."""
        return self.grads.vector if isinstance(self.grads, Gradients) else self.grads

    def over(self, vector: Tensor) -> "Params":
        """Return parameters of the same layout whose values are those of another vector."""
        twin = copy.copy(self)
        twin.vector = vector
        twin.tensors = {n: _leaf(None, v) for n, v in self.layout.split(vector).items()}
        twin.grads = Gradients(self.layout, twin.tensors)
        return twin

    def taken(self, places: Sequence[int]) -> "Params":
        """Return a copy of some of the lanes; one alone has the parameters of a plain run."""
        twin = copy.copy(self)
        twin.axis = Axis(len(places))
        twin._hold(self.axis.taken(self.vector, places), {})
        return twin

    def _hold(self, vector: Tensor, own: Tensors) -> None:
        self.vector = vector
        values = self.layout.split(vector)
        self.tensors = {name: _leaf(own.get(name), value) for name, value in values.items()}
        self.grads: Tensor | Gradients = Gradients(self.layout, self.tensors)
        if self.axis.count > 1 or vector.numel() < LARGE:
            self.grads = torch.zeros_like(vector)
            for name, grad in self.layout.split(self.grads).items():
                self.tensors[name].grad = grad


def gradient_of(leaf: Tensor) -> Tensor:
    """Return the gradient of a leaf, zeros where the loss does not depend on it."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _leaf(own: Tensor | None, value: Tensor) -> Tensor:
    if own is None:
        return value.detach().requires_grad_()
    own.data, own.grad = value, None
    return own
