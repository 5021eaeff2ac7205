"""Flat parameters: every parameter is a view of one vector, every gradient a view of another.

An elementwise rule then runs once over the whole model, gradients are zeroed in one call, and a
global norm is one reduction.
"""

import copy
import warnings
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from experiments.plugin.spec import Network, Parameter, Tensors
from experiments.rules.axis import Axis

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


class Params:
    """The parameters of one network, or of K networks of the same shapes (lanes).

    Shapes: `vector` and `grads` are [P], in lanes [K, P]; `tensors` maps each name to a leaf tensor
    of the parameter's own shape, in lanes with K before it. The leaves share memory with `vector`,
    their `.grad` with `grads`. With `channels_last` the weights of convolutions lie in that order.
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
        self.layout = layout_of(networks[0])
        self.channels_last = channels_last
        initial = self.axis.join([self.join(initial_tensors(network)) for network in networks])
        self.vector = initial.to(device, dtype, copy=True)
        self.grads = torch.zeros_like(self.vector)
        values, grads = self.split(self.vector), self.split(self.grads)
        # A plain run trains the network's own tensors, so that a module needs no substitution in
        # its forward pass; lanes train new leaves.
        own = initial_tensors(networks[0]) if len(networks) == 1 else {}
        self.tensors = {name: _leaf(own.get(name), values[name], grads[name]) for name in values}

    def over(self, vector: Tensor) -> "Fresh":
        """Return parameters of the same layout whose values are those of another vector."""
        return Fresh(self, vector)

    def taken(self, places: Sequence[int]) -> "Params":
        """Return a copy of some of the lanes; one alone has the parameters of a plain run."""
        twin = copy.copy(self)
        twin.axis, twin.vector = Axis(len(places)), self.axis.taken(self.vector, places)
        twin.grads = torch.zeros_like(twin.vector)
        values, grads = twin.split(twin.vector), twin.split(twin.grads)
        twin.tensors = {name: _leaf(None, values[name], grads[name]) for name in values}
        return twin

    def split(self, vector: Tensor) -> Tensors:
        """View a vector [..., P] as named tensors [..., *shape]."""
        return {p.name: self._view(vector, p) for p in self.layout}

    def reordered(self, vector: Tensor) -> Tensor:
        """Return a vector that lies in the other order of convolutions' weights in this one."""
        other = copy.copy(self)
        other.channels_last = not self.channels_last
        return self.join(other.split(vector))

    def _view(self, vector: Tensor, place: Parameter) -> Tensor:
        part = vector[..., place.start : place.stop]
        if self._is_reordered(place.shape):
            outputs, inputs, height, width = place.shape
            view = part.unflatten(-1, (outputs, height, width, inputs)).movedim(-1, -3)
        else:
            view = part.unflatten(-1, place.shape) if place.shape else part.squeeze(-1)
        tensor: Tensor = view
        return tensor

    def join(self, tensors: Tensors) -> Tensor:
        """Put named tensors one after the other in a vector, as `split` takes them apart."""
        return torch.cat([self._flat(tensors[p.name].detach(), p) for p in self.layout], -1)

    def _flat(self, tensor: Tensor, place: Parameter) -> Tensor:
        if self._is_reordered(place.shape):
            tensor = tensor.movedim(-3, -1)
        lanes = tensor.dim() - len(place.shape)
        return tensor.flatten(lanes) if place.shape else tensor.unsqueeze(-1)

    def _is_reordered(self, shape: torch.Size) -> bool:
        return self.channels_last and len(shape) == 4


class Fresh:
    """Parameters in a given vector, whose gradients become a vector when they are asked for.

    A captured program has no use for gradients that last: the first of a step are written, not
    added to zeros.
    """

    def __init__(self, params: Params, vector: Tensor) -> None:
        self.vector = vector
        self.tensors = {n: v.detach().requires_grad_() for n, v in params.split(vector).items()}
        self._params = params
        self._grads = torch.zeros_like(vector)

    @property
    def grads(self) -> Tensor:
        """Join the gradients that have come since the last call."""
        leaves = self.tensors
        if any(leaf.grad is not None for leaf in leaves.values()):
            self._grads = self._params.join({name: _taken(leaf) for name, leaf in leaves.items()})
        return self._grads


def _taken(leaf: Tensor) -> Tensor:
    """Take a leaf's gradient away from it; a leaf that the loss does not depend on has zeros."""
    grad, leaf.grad = leaf.grad, None
    return torch.zeros_like(leaf) if grad is None else grad


def initial_tensors(network: nn.Module | Network) -> Tensors:
    """Return a network's trainable tensors by name."""
    if isinstance(network, Network):
        return network.tensors
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def layout_of(network: nn.Module | Network) -> list[Parameter]:
    """Place a network's parameters one after the other in a vector."""
    tensors = initial_tensors(network)
    stops = list(accumulate(tensor.numel() for tensor in tensors.values()))
    return [
        Parameter(name, tensor.shape, stop - tensor.numel(), _role(network, name))
        for (name, tensor), stop in zip(tensors.items(), stops, strict=True)
    ]


def _leaf(own: Tensor | None, value: Tensor, grad: Tensor) -> Tensor:
    leaf = own if own is not None else value.detach()
    leaf.data = value
    leaf.requires_grad_()
    leaf.grad = grad
    return leaf


def _role(network: nn.Module | Network, name: str) -> str:
    owner, _, last = name.rpartition(".")
    if isinstance(network, nn.Module) and isinstance(network.get_submodule(owner), _NORMS):
        return "norm"
    return "bias" if last.startswith("bias") else "weight"
