"""Where the parameters of a network lie in a vector."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor, nn

from experiments.plugin.spec import Network, Parameter, Tensors

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)


@dataclass(frozen=True)
class Layout:
    """Parameters one after the other in a vector [..., P]: P numbers, lanes before them.

    With `channels_last` the weights of convolutions lie in that order.
    """

    places: list[Parameter]
    channels_last: bool = False

    @property
    def size(self) -> int:
        """Count the numbers of all parameters."""
        return sum(place.shape.numel() for place in self.places)

    def split(self, vector: Tensor) -> Tensors:
        """View a vector [..., P] as named tensors [..., *shape]."""
        return {p.name: self._view(vector, p) for p in self.places}

    def join(self, tensors: Tensors) -> Tensor:
        """Put named tensors one after the other in a vector, as `split` takes them apart."""
        return torch.cat([self.flat(tensors[p.name].detach(), p) for p in self.places], -1)

    def flat(self, tensor: Tensor, place: Parameter) -> Tensor:
        """Return a parameter [..., *shape] as it lies in a vector; a view, if it lies so itself."""
        if self._is_reordered(place.shape):
            tensor = tensor.movedim(-3, -1)
        lanes = tensor.dim() - len(place.shape)
        return tensor.flatten(lanes) if place.shape else tensor.unsqueeze(-1)

    def of(self, places: Sequence[Parameter]) -> "Layout":
        """Return the layout of some of the parameters in a vector of their own."""
        return Layout(_placed(places), self.channels_last)

    def reordered(self, vector: Tensor) -> Tensor:
        """Return a vector that lies in the other order of convolutions' weights in this one."""
        return self.join(replace(self, channels_last=not self.channels_last).split(vector))

    def _view(self, vector: Tensor, place: Parameter) -> Tensor:
        part = vector[..., place.start : place.stop]
        if self._is_reordered(place.shape):
            outputs, inputs, height, width = place.shape
            view = part.unflatten(-1, (outputs, height, width, inputs)).movedim(-1, -3)
        else:
            view = part.unflatten(-1, place.shape) if place.shape else part.squeeze(-1)
        tensor: Tensor = view
        return tensor

    def _is_reordered(self, shape: torch.Size) -> bool:
        return self.channels_last and len(shape) == 4


def layout_of(network: nn.Module | Network, *, channels_last: bool = False) -> Layout:
    """Place a network's parameters one after the other in a vector."""
    tensors = initial_tensors(network)
    places = [Parameter(n, t.shape, 0, _role(network, n)) for n, t in tensors.items()]
    return Layout(_placed(places), channels_last)


def initial_tensors(network: nn.Module | Network) -> Tensors:
    """Return a network's trainable tensors by name."""
    if isinstance(network, Network):
        return network.tensors
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def _placed(places: Sequence[Parameter]) -> list[Parameter]:
    stops = accumulate((place.shape.numel() for place in places), initial=0)
    return [replace(place, start=start) for place, start in zip(places, stops, strict=False)]


def _role(network: nn.Module | Network, name: str) -> str:
    owner, _, last = name.rpartition(".")
    if isinstance(network, nn.Module) and isinstance(network.get_submodule(owner), _NORMS):
        return "norm"
    return "bias" if last.startswith("bias") else "weight"
