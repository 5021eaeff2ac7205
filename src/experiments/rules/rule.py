"""An optimizer with its transforms and schedules: the one rule that the loop applies."""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from experiments.errors import CaptureError, ConfigError
from experiments.plugin.kinds import Schedule
from experiments.plugin.rulepart import Optimizer, Transform
from experiments.plugin.spec import Tensors
from experiments.rules import lossscale
from experiments.rules.chain import Chain, Memory, Stepped, owned
from experiments.rules.change import Change
from experiments.rules.evaluations import Evaluations, Examples, LossFn, NetworkFunction
from experiments.rules.kernel.fused import Fused
from experiments.rules.numbers import numbers
from experiments.rules.params import Gradients, Params
from experiments.rules.routes import OPTIMIZER
from experiments.rules.timetable import Timetable

COST = "cost"  # in a rule's memory
_STRIDE = 0x1E3779B97F4A7C15  # odd: each plugin has a stream of noise of its own


class Rule:
    """Turns gradients into steps, for one run or for lanes that differ in numbers.

    Every plugin comes as a sequence: one for a plain run, one a lane otherwise. `schedules` maps a
    number of the optimizer to its schedule, `seeds` are those of noise. Shapes: gradients,
    parameters and steps are [P], in lanes [K, P]. With `scaled` the loss is scaled up for the
    backward pass, as float16 needs.
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
        seeds: Sequence[int] = (0,),
    ) -> None:
        device = params.vector.device
        self._scaled, self._axis = scaled, params.axis
        self._chain = Chain(optimizers, transforms, params.layout)
        # Of every optimizer and transform: 0-d, in lanes [K].
        self.numbers = {name: numbers(own, device) for name, own in self._chain.plugins.items()}
        self.numbers[OPTIMIZER] = numbers(optimizers, device)
        timetable = Timetable(
            self.numbers[OPTIMIZER],
            schedules,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
        )
        # Gives step t as a 0-d tensor, and every scheduled number at it: 0-d, in lanes [K].
        self.clock: Callable[[int], tuple[Tensor, Tensors]] = timetable.at
        self._keys = self._keys_of(seeds, device)
        self._is_bound = False
        plain = self._axis.count == 1 and device.type == "cpu" and not scaled
        self._fused = Fused(self._chain) if plain else None
        if scaled and self._keys:
            raise ConfigError(
                f"device.precision=fp16: {self.looking} looks again at a batch; use bf16."
            )
        # Made once: a plain run has it at each step for nothing.
        lanes = (0, 0, 0, 0, 0, 0 if self._keys else None, None, None, None)
        self._stepped = self._axis.map(self._chain.step, in_dims=lanes, randomness="different")

    @property
    def looking(self) -> str | None:
        """Name a plugin that needs more of a step than its gradient, if any does."""
        return next((self._chain.parts[name].name for name in self._keys), None)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the model is evaluated elsewhere than at the parameters that are trained."""
        return any(part.has("evaluated") for part in self._chain.parts.values())

    def init(self, vector: Tensor) -> Memory:
        """Return the memory of the optimizer and of each transform before the first step."""
        memory = owned(self._axis.map(self._chain.init)(self.numbers, vector), vector)
        if self._scaled:
            memory[lossscale.KEY] = lossscale.init(vector)
        if self._keys:
            zero = torch.zeros(vector.shape[:-1], dtype=torch.int64)
            memory[COST] = {"gradient": zero, "loss": zero.clone()}
        return memory

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

    def evaluations(
        self, model: NetworkFunction, loss_fn: LossFn, params: Params, parts: Sequence[Examples]
    ) -> Evaluations | None:
        """Return how to look at a batch again, asked before its first forward pass.

        None where no plugin needs that.
        """
        if not self._keys:
            return None
        return Evaluations(model, loss_fn, params, parts, again=not self._is_bound)

    def update(
        self,
        params: Params,
        state: Memory,
        t: int,
        loss: Tensor,
        evaluations: Evaluations | None = None,
    ) -> tuple[Change, Memory]:
        """Return what the loop subtracts at step `t`, and the next memory."""
        if self._fused is not None and isinstance(params.grads, Gradients):
            time, scheduled = self.clock(t)
            values = self._values(scheduled)

            def front() -> Stepped:
                more = (state, self._keys, loss, time, t, evaluations)
                grad, memory = self._chain.front(values, params.gradient, params.vector, *more)
                return grad, owned(memory, params.vector)

            if found := self._fused.step(params, state, values, time, front):
                return found[0], self._counted(found[1], evaluations)
        change, after = self.step(params.gradient, params.vector, state, t, loss, evaluations)
        return Change(params.vector, change), after

    def _keys_of(self, seeds: Sequence[int], device: torch.device) -> Tensors:
        """Return the keys of the noise of each plugin that needs more than the gradient."""
        keys = {
            name: torch.tensor([(seed + n * _STRIDE) % 2**63 for seed in seeds], device=device)
            for n, (name, own) in enumerate(self._chain.plugins.items(), start=1)
            if own[0].needs
        }
        return {name: self._axis.of_rows(key) for name, key in keys.items()}

    def _counted(self, memory: Memory, evaluations: Evaluations | None) -> Memory:
        """Return a memory with the evaluations that a step has taken beside its own."""
        if evaluations is None:
            return memory
        counts = evaluations.counts
        return memory | {COST: {name: own + counts[name] for name, own in memory[COST].items()}}

    def _values(self, scheduled: Tensors) -> dict[str, Tensors]:
        return self.numbers | {OPTIMIZER: self.numbers[OPTIMIZER] | scheduled}

    def step(
        self,
        grads: Tensor,
        vector: Tensor,
        state: Memory,
        t: int,
        loss: Tensor | None = None,
        evaluations: Evaluations | None = None,
    ) -> tuple[Tensor, Memory]:
        """Return the whole change at step `t` for a vector of gradients, and the next memory."""
        time, scheduled = self.clock(t)
        values = self._values(scheduled)

        def stepped(grads: Tensor, state: Memory) -> Stepped:
            change, after = self._stepped(
                values, grads, vector, state, self._keys, loss, time, t, evaluations
            )
            return change, owned(after, grads, vector)

        if self._scaled:
            return lossscale.update(stepped, grads, state)
        change, after = stepped(grads, state)
        return change, self._counted(after, evaluations)

    def point(self, vector: Tensor, state: Memory) -> Tensor:
        """Return the parameters at which the model is evaluated."""
        point: Tensor = self._axis.map(self._chain.point)(self.numbers, vector, state)
        return point

    def bound(self, numbers: dict[str, Tensors], clock: Sequence[tuple[Tensor, Tensors]]) -> "Rule":
        """Return the same rule with other numbers, and the clock at its steps 0, 1, ...

        Raises CaptureError where a plugin cannot be part of a program.
        """
        for part in self._chain.parts.values():
            if not part.plugin.in_programs:
                raise CaptureError(f"{part.name} cannot be part of a program")
        twin = copy.copy(self)
        twin.numbers, twin.clock = numbers, clock.__getitem__
        twin._is_bound, twin._fused = True, None
        return twin
