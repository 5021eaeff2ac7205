"""A network as a function of its parameters, for one run or for lanes."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from experiments.plugin.spec import Network, Precision, Tensors
from experiments.rules.params import Params

_AUTOCAST = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


class Forward:
    """Compute outputs from parameters and inputs, as `model(params.tensors, inputs)`.

    Shapes: inputs [B, *item] give outputs [B, ...]; in lanes inputs [K, B, *item] give
    [K, B, ...]. `buffers` (running statistics of BatchNorm) are updated in place while training.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module | Network],
        params: Params,
        precision: Precision = Precision.fp32,
    ) -> None:
        self._network = networks[0]
        self._autocast = _AUTOCAST.get(precision)
        self._device = params.vector.device.type
        modules = [network for network in networks if isinstance(network, nn.Module)]
        for module in modules:
            module.to(params.vector.device, params.vector.dtype)
        self.buffers: Tensors = dict(modules[0].named_buffers()) if modules else {}
        self._call: Callable[[Tensors, Tensor], Tensor] = self._single
        self._in_lanes = params.lanes is not None
        if self._in_lanes:
            self.buffers = stack_module_state(modules)[1] if modules else {}
            self._call = lambda tensors, inputs: self._lanes(tensors, self.buffers, inputs)

    def __call__(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        """Return the outputs; where products have 16 bits, the outputs are float32 again."""
        if self._autocast is None:
            return self._call(tensors, inputs)
        with torch.autocast(self._device, self._autocast):
            return self._call(tensors, inputs).float()

    def bound(self, buffers: Tensors) -> Callable[[Tensors, Tensor], Tensor]:
        """Return the same function with all that it depends on given as tensors."""
        twin = copy.copy(self)
        call = self._lanes if self._in_lanes else self._substituted
        twin._call = lambda tensors, inputs: call(tensors, buffers, inputs)
        return twin

    def taken(self, places: Sequence[int]) -> "Forward":
        """Return the function of some of the lanes, with copies of their buffers."""
        twin = copy.copy(self)
        twin.buffers = {name: buffer[list(places)] for name, buffer in self.buffers.items()}
        twin._call = lambda tensors, inputs: twin._lanes(tensors, twin.buffers, inputs)
        return twin

    def lane(self, place: int) -> "Forward":
        """Return the function of one lane, as that of a plain run, with copies of its buffers."""
        twin = copy.copy(self)
        twin._in_lanes = False
        twin.buffers = {name: buffer[place].clone() for name, buffer in self.buffers.items()}
        twin._call = lambda tensors, inputs: twin._substituted(tensors, twin.buffers, inputs)
        return twin

    def on_same(self, tensors: Tensors, inputs: Tensor, places: slice) -> Tensor:
        """Return the outputs [K, B, ...] of some of the lanes for the same inputs [B, *item]."""
        twin, call = copy.copy(self), vmap(self._substituted, in_dims=(0, 0, None))
        buffers = {name: buffer[places] for name, buffer in self.buffers.items()}
        twin._call = lambda tensors, inputs: call(tensors, buffers, inputs)
        return twin({name: tensor[places] for name, tensor in tensors.items()}, inputs)

    def train(self, mode: bool = True) -> None:
        """Switch between training and evaluation (dropout, BatchNorm)."""
        if isinstance(self._network, nn.Module):
            self._network.train(mode)

    def _single(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        if isinstance(self._network, Network):
            return self._network.forward(tensors, inputs)
        output: Tensor = self._network(inputs)
        return output

    def _lanes(self, tensors: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
        outputs: Tensor = vmap(self._substituted, randomness="different")(tensors, buffers, inputs)
        return outputs

    def _substituted(self, tensors: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
        if isinstance(self._network, Network):
            return self._network.forward(tensors, inputs)
        output: Tensor = functional_call(self._network, (tensors, buffers), (inputs,))
        return output
