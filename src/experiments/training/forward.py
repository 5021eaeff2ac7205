"""A network as a function of its parameters, for one run or for lanes."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase

from experiments.plugin.spec import Network, Precision, Tensors
from experiments.rules.axis import Axis
from experiments.rules.params import Params

_AUTOCAST = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}
_AT_ONCE = 2**14  # items of all lanes together that are computed for the same inputs


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
        self._network, self._axis = networks[0], params.axis
        self._autocast = _AUTOCAST.get(precision)
        self._device = params.vector.device.type
        modules = [network for network in networks if isinstance(network, nn.Module)]
        for module in modules:
            module.to(params.vector.device, params.vector.dtype)
        own = [dict(module.named_buffers()) for module in modules]
        names = own[0] if own else {}
        self.buffers = {name: self._axis.join([each[name] for each in own]) for name in names}
        # A plain run's module holds the parameters that are trained, and needs no substitution.
        self._call = self._plain if self._axis.count == 1 else self._over(self.buffers)

    def __call__(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        """Return the outputs; where products have 16 bits, the outputs are float32 again."""
        if self._autocast is None:
            return self._call(tensors, inputs)
        with torch.autocast(self._device, self._autocast):
            return self._call(tensors, inputs).float()

    def bound(self, buffers: Tensors) -> "Forward":
        """Return the same function with all that it depends on given as tensors."""
        twin = copy.copy(self)
        twin.buffers, twin._call = buffers, twin._over(buffers)
        return twin

    def aside(self) -> "Forward":
        """Return the same function, whose calls leave the running statistics alone."""
        return self.bound({name: buffer.clone() for name, buffer in self.buffers.items()})

    def draws(self, tensors: Tensors, inputs: Tensor) -> bool:
        """Say whether training draws random numbers, as dropout does."""
        devices = [self._device] if self._device == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            before = _random(self._device)
            self.train()
            self.aside()(tensors, inputs)
            return any(not a.equal(b) for a, b in zip(before, _random(self._device), strict=True))

    @property
    def has_statistics(self) -> bool:
        """Whether batches leave running statistics behind, as those of BatchNorm do."""
        return any(self._norms())

    def recalibrated(self, tensors: Tensors, batches: Iterable[Tensor]) -> "Forward":
        """Return the function whose running statistics are the means over batches of inputs."""
        self.train()
        means: Tensors = {}
        with self._forgetting():
            for count, inputs in enumerate(batches, start=1):
                twin = self.aside()
                twin(tensors, inputs)
                for name, value in twin.buffers.items():
                    if value.is_floating_point():
                        means[name] = means.get(name, value).lerp(value, 1 / count)
        return self.bound(self.buffers | means)

    def _norms(self) -> Iterator[_NormBase]:
        modules = self._network.modules() if isinstance(self._network, nn.Module) else ()
        return (m for m in modules if isinstance(m, _NormBase) and m.track_running_stats)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """Let running statistics be those of the last batch alone."""
        momenta = [(norm, norm.momentum) for norm in self._norms()]
        for norm, _ in momenta:
            norm.momentum = 1.0
        try:
            yield
        finally:
            for norm, momentum in momenta:
                norm.momentum = momentum

    def taken(self, places: Sequence[int]) -> "Forward":
        """Return the function of some of the lanes, with copies of their buffers."""
        twin = copy.copy(self)
        twin._axis = Axis(len(places))
        return twin.bound({name: self._axis.taken(b, places) for name, b in self.buffers.items()})

    def on_same(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        """Return the outputs [K, B, ...] of all lanes for the same inputs [B, *item], as batches
        of a bounded size; of one run [B, ...].
        """
        if self._axis.count == 1:
            return self(tensors, inputs)
        size = max(1, _AT_ONCE // len(inputs))
        places = [slice(n, n + size) for n in range(0, self._axis.count, size)]
        parts = [self._some_on_same(tensors, inputs, some) for some in places]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _some_on_same(self, tensors: Tensors, inputs: Tensor, places: slice) -> Tensor:
        own, buffers = (
            {name: tensor[places] for name, tensor in named.items()}
            for named in (tensors, self.buffers)
        )
        call = self._axis.map(self._substituted, in_dims=(0, 0, None))
        twin = copy.copy(self)
        twin._call = lambda tensors, inputs: call(tensors, buffers, inputs)
        return twin(own, inputs)

    def train(self, mode: bool = True) -> None:
        """Switch between training and evaluation (dropout, BatchNorm)."""
        if isinstance(self._network, nn.Module):
            self._network.train(mode)

    def _plain(self, tensors: Tensors, inputs: Tensor) -> Tensor:
        if isinstance(self._network, Network):
            return self._network.forward(tensors, inputs)
        output: Tensor = self._network(inputs)
        return output

    def _over(self, buffers: Tensors) -> Callable[[Tensors, Tensor], Tensor]:
        call = self._axis.map(self._substituted, randomness="different")
        return lambda tensors, inputs: call(tensors, buffers, inputs)

    def _substituted(self, tensors: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
        if isinstance(self._network, Network):
            return self._network.forward(tensors, inputs)
        output: Tensor = functional_call(self._network, (tensors, buffers), (inputs,))
        return output


def _random(device: str) -> list[Tensor]:
    """Return the states of the generators that a device draws from."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state()] if device == "cuda" else states
