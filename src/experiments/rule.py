"""An optimizer with its transforms and schedules: the one rule that the loop applies."""

import copy
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor
from torch.func import vmap

from experiments.interfaces import Optimizer, Schedule, Transform
from experiments.numbers import filled, numbers
from experiments.params import Params
from experiments.records import State, Tensors
from experiments.timetable import Timetable

Memory = dict[str, State]


class Clock(Protocol):
    """Tells what time it is at a step, and what every scheduled number is."""

    def at(self, t: int) -> tuple[Tensor, Tensors]:
        """Return step `t` as a 0-d tensor, and every scheduled number: 0-d, in lanes [K]."""


class Rule:
    """Turns gradients into steps, for one run or for lanes that differ in numbers.

    Every plugin comes as a sequence: one for a plain run, one a lane otherwise. `schedules` maps a
    number of the optimizer to its schedule. Shapes: gradients, parameters and steps are [P], in
    lanes [K, P].
    """

    def __init__(
        self,
        params: Params,
        optimizers: Sequence[Optimizer],
        transforms: Mapping[str, Sequence[Transform]],
        schedules: Mapping[str, Sequence[Schedule]],
        *,
        total_steps: int,
        steps_per_epoch: int,
    ) -> None:
        device = params.vector.device
        self._lanes = params.lanes
        self._layout = params.layout
        self._optimizer = optimizers[0]
        self._transforms = {name: lanes[0] for name, lanes in transforms.items()}
        self._numbers = {name: numbers(lanes, device) for name, lanes in transforms.items()}
        self._numbers["optimizer"] = numbers(optimizers, device)
        self._timetable = Timetable(
            self._numbers["optimizer"],
            schedules,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
        )
        self._clock: Clock = self._timetable

    @property
    def numbers(self) -> dict[str, Tensors]:
        """The numbers of the optimizer and of each transform: 0-d, in lanes [K]."""
        return self._numbers

    def init(self, vector: Tensor) -> Memory:
        """Return the memory of the optimizer and of each transform before the first step."""
        return vmap(self._init)(vector) if self._lanes else self._init(vector)

    def update(self, grads: Tensor, vector: Tensor, state: Memory, t: int) -> tuple[Tensor, Memory]:
        """Return what the loop subtracts at step `t`, and the next memory."""
        time, scheduled = self._clock.at(t)
        values = self._numbers | {"optimizer": self._numbers["optimizer"] | scheduled}
        if self._lanes is None:
            return self._apply(values, grads, vector, state, time)
        in_lanes = vmap(self._apply, in_dims=(0, 0, 0, 0, None), randomness="different")
        change, state = in_lanes(values, grads, vector, state, time)
        return change, state

    def bound(self, numbers: dict[str, Tensors], clock: Clock) -> "Rule":
        """Return the same rule with its numbers and its clock given as tensors."""
        twin = copy.copy(self)
        twin._numbers, twin._clock = numbers, clock
        return twin

    def window(self, t: int, n: int) -> tuple[Tensor, Tensors]:
        """Return the n steps from `t` on [n], and every scheduled number at them [n] or [K, n]."""
        return self._timetable.window(t, n)

    def scheduled(self, t: int) -> Tensors:
        """Return every scheduled number at step `t`, such as `lr`: 0-d, in lanes [K]."""
        return self._timetable.at(t)[1]

    def _init(self, vector: Tensor) -> Memory:
        memory = {name: t.init(vector, self._layout) for name, t in self._transforms.items()}
        return memory | {"optimizer": self._optimizer.init(vector)}

    def _apply(
        self, values: dict[str, Tensors], grad: Tensor, param: Tensor, state: Memory, t: Tensor
    ) -> tuple[Tensor, Memory]:
        optimizer = filled(self._optimizer, values["optimizer"])
        transforms = {name: filled(t, values[name]) for name, t in self._transforms.items()}
        after = dict(state)
        for name, transform in transforms.items():
            grad, after[name] = transform.on_gradient(grad, param, after[name])
        change, after["optimizer"] = optimizer.update(grad, param, state["optimizer"], t)
        lr = values["optimizer"]["lr"]
        for name, transform in transforms.items():
            change, after[name] = transform.on_step(change, param, after[name], lr)
        return change, after
