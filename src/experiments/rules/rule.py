"""An optimizer with its transforms and schedules: the one rule that the loop applies."""

import copy
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from experiments.plugin.kinds import Optimizer, Schedule, Transform
from experiments.plugin.spec import State, Tensors
from experiments.rules import lossscale
from experiments.rules.numbers import filled, numbers
from experiments.rules.params import Params
from experiments.rules.timetable import Timetable

Memory = dict[str, State]


class Rule:
    """Turns gradients into steps, for one run or for lanes that differ in numbers.

    Every plugin comes as a sequence: one for a plain run, one a lane otherwise. `schedules` maps a
    number of the optimizer to its schedule. Shapes: gradients, parameters and steps are [P], in
    lanes [K, P]. With `scaled` the loss is scaled up for the backward pass, as float16 needs.
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
        scaled: bool = False,
    ) -> None:
        device = params.vector.device
        self._scaled = scaled
        self._axis = params.axis
        self._layout = params.layout
        self._optimizer = optimizers[0]
        self._transforms = {name: lanes[0] for name, lanes in transforms.items()}
        # Made once: a plain run has it at each step for nothing.
        self._applied = self._axis.map(
            self._apply, in_dims=(0, 0, 0, 0, None), randomness="different"
        )
        # Of the optimizer and of each transform: 0-d, in lanes [K].
        self.numbers = {name: numbers(lanes, device) for name, lanes in transforms.items()}
        self.numbers["optimizer"] = numbers(optimizers, device)
        timetable = Timetable(
            self.numbers["optimizer"],
            schedules,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
        )
        # Gives step t as a 0-d tensor, and every scheduled number at it: 0-d, in lanes [K].
        self.clock: Callable[[int], tuple[Tensor, Tensors]] = timetable.at

    def init(self, vector: Tensor) -> Memory:
        """Return the memory of the optimizer and of each transform before the first step."""
        memory: Memory = self._axis.map(self._init)(vector)
        return memory | {lossscale.KEY: lossscale.init(vector)} if self._scaled else memory

    def weighted(self, loss: Tensor, share: float, state: Memory) -> Tensor:
        """Return the scalar whose gradient is taken: of one plain batch the loss itself.

        A part of a batch counts by its share of the items; the losses of lanes as their sum: lanes
        do not mix, so each gets its own gradient.
        """
        if self._scaled:
            loss = loss * state[lossscale.KEY]["scale"]
        if share != 1:
            loss = loss * share
        return self._axis.total(loss)

    def update(self, grads: Tensor, vector: Tensor, state: Memory, t: int) -> tuple[Tensor, Memory]:
        """Return what the loop subtracts at step `t`, and the next memory."""
        if self._scaled:
            return lossscale.update(self._update, grads, vector, state, t)
        return self._update(grads, vector, state, t)

    def _update(
        self, grads: Tensor, vector: Tensor, state: Memory, t: int
    ) -> tuple[Tensor, Memory]:
        time, scheduled = self.clock(t)
        values = self.numbers | {"optimizer": self.numbers["optimizer"] | scheduled}
        change, state = self._applied(values, grads, vector, state, time)
        return change, state

    def bound(self, numbers: dict[str, Tensors], clock: Sequence[tuple[Tensor, Tensors]]) -> "Rule":
        """Return the same rule with other numbers, and the clock at its steps 0, 1, ..."""
        twin = copy.copy(self)
        twin.numbers, twin.clock = numbers, clock.__getitem__
        return twin

    def _init(self, vector: Tensor) -> Memory:
        memory = {name: t.init(vector, self._layout) for name, t in self._transforms.items()}
        memory["optimizer"] = self._optimizer.init(vector)
        return _kept(memory, vector)

    def _apply(
        self, values: dict[str, Tensors], grad: Tensor, param: Tensor, state: Memory, t: Tensor
    ) -> tuple[Tensor, Memory]:
        lent = grad, param
        optimizer = filled(self._optimizer, values["optimizer"])
        transforms = {name: filled(t, values[name]) for name, t in self._transforms.items()}
        after = dict(state)
        for name, transform in transforms.items():
            grad, after[name] = transform.on_gradient(grad, param, after[name])
        change, after["optimizer"] = optimizer.update(grad, param, state["optimizer"], t)
        lr = values["optimizer"]["lr"]
        for name, transform in transforms.items():
            change, after[name] = transform.on_step(change, param, after[name], lr)
        return change, _kept(after, *lent)


def _kept(memory: Memory, *lent: Tensor) -> Memory:
    """Copy what the memory holds of the vectors that the loop goes on to change in place."""
    return {
        owner: {
            name: tensor.clone() if any(tensor is one for one in lent) else tensor
            for name, tensor in state.items()
        }
        for owner, state in memory.items()
    }
