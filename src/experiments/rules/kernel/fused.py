"""Steps by a kernel, made at the first one: of all that a rule does, or of what comes last."""

import dataclasses
from collections.abc import Callable
from types import NoneType

import torch
from torch import Tensor

from experiments.plugin.rulepart import RulePart
from experiments.rules.chain import Chain, Memory, Numbers, Stepped
from experiments.rules.change import Change
from experiments.rules.kernel.kernel import Kernel, kernel_of
from experiments.rules.params import Params

_CONSTANT = (bool, int, float, str, tuple, NoneType, torch.dtype, torch.device)


class Fused:
    """Takes the steps of a chain as far as it is elementwise: all of it, or the rule and after."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._kernel: Kernel | None = None
        self._is_tried = self._is_whole = False

    def step(
        self,
        params: Params,
        state: Memory,
        numbers: Numbers,
        time: Tensor,
        front: Callable[[], Stepped],
    ) -> tuple[Change, Memory] | None:
        """Return what the loop subtracts, and the next memory, or None where there is no kernel.

        `front` gives the gradient that the rules see, where a transform makes it.
        """
        if not self._is_tried:
            self._make(params, state, numbers, time)
        if self._kernel is None:
            return None
        if self._is_whole:
            return self._kernel.step(state, numbers, time), state
        grad, state = front()
        return self._kernel.step(state, numbers, time, grad), state

    def _make(self, params: Params, state: Memory, numbers: Numbers, time: Tensor) -> None:
        chain, self._is_tried = self._chain, True
        for take, owners in ((chain.step, list(chain.parts)), (chain.back, chain.behind)):
            if not all(_is_arithmetic(chain.parts[name].plugin) for name in owners):
                continue
            self._kernel = kernel_of(take, owners, params.gradient, params, state, numbers, time)
            if self._kernel is not None:
                self._is_whole = take == chain.step
                return


def _is_arithmetic(plugin: RulePart) -> bool:
    """Say whether a plugin's steps are all alike, as far as one can see from outside.

    One that looks again at its batch, or that has a list or an object of its own to write to, has
    to be called at each step.
    """
    own = vars(plugin).keys() - {field.name for field in dataclasses.fields(plugin)}
    return not plugin.needs and all(isinstance(vars(plugin)[name], _CONSTANT) for name in own)
