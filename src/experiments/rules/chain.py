"""The arithmetic of a step: transforms around the rules of the routes, each at its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from experiments.plugin.rulepart import Optimizer, RulePart, Transform
from experiments.plugin.spec import State, Tensors
from experiments.rules.again import Moment
from experiments.rules.evaluations import Evaluations
from experiments.rules.layout import Layout
from experiments.rules.part import Part
from experiments.rules.returned import PLACES
from experiments.rules.routes import OPTIMIZER, numbers_of, routes_of

Memory = dict[str, State]
Numbers = dict[str, Tensors]
Stepped = tuple[Tensor, Memory]


class Chain:
    """Takes the steps of one run, or of one lane: nothing here has a dimension of lanes.

    `plugins` has those of every lane by name: rules, then transforms; a step is taken by the first
    lane's, with the numbers that it is given.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        transforms: Mapping[str, Sequence[Transform]],
        layout: Layout,
    ) -> None:
        routes = routes_of(optimizers, layout)
        self.plugins: dict[str, Sequence[RulePart]] = {
            name: [route.rule for route in lanes] for name, lanes in routes.items()
        }
        self.plugins |= transforms
        self._rules = {n: Part(own[0].rule, layout, own[0].layout) for n, own in routes.items()}
        self.parts = self._rules | {
            name: Part(own[0], layout, layout.places) for name, own in transforms.items()
        }
        self._at = {
            place: [name for name in transforms if self.parts[name].has(place)] for place in PLACES
        }

    @property
    def behind(self) -> list[str]:
        """The names of the rules, and of the transforms at later places."""
        later = {*self._at["on_step"], *self._at["on_params"]}
        return [*self._rules, *(name for name in self.parts if name in later)]

    def init(self, numbers: Numbers, vector: Tensor) -> Memory:
        """Return the memory of every rule and transform before the first step."""
        return {name: part.init(numbers[name], vector) for name, part in self.parts.items()}

    def step(self, numbers: Numbers, grad: Tensor, param: Tensor, *more: Any) -> Stepped:
        """Return the change of all parameters [P], and the next memory.

        Beside numbers, gradient and parameters it takes the memory, the keys of noise and the loss
        (none, but for plugins that look again), the step as a tensor and as a number, and how to
        look at the batch again.
        """
        calls = self._calls(numbers, *more)
        return self._back(calls, self._front(calls, grad, param), param), calls.memory

    def front(self, numbers: Numbers, grad: Tensor, param: Tensor, *more: Any) -> Stepped:
        """Return the gradient that the rules are given, and the memory that goes with it."""
        calls = self._calls(numbers, *more)
        return self._front(calls, grad, param), calls.memory

    def back(self, numbers: Numbers, grad: Tensor, param: Tensor, *more: Any) -> Stepped:
        """Return the change that rules and later places make of that gradient; and the memory."""
        calls = self._calls(numbers, *more)
        return self._back(calls, grad, param), calls.memory

    def _calls(self, numbers: Numbers, *more: Any) -> "_Calls":
        if OPTIMIZER not in self._rules:
            numbers = numbers | {name: numbers_of(name, numbers) for name in self._rules}
        return _Calls(self.parts, numbers, *more)

    def _front(self, calls: "_Calls", grad: Tensor, param: Tensor) -> Tensor:
        for place in ("on_batch", "on_gradient"):
            for name in self._at[place]:
                grad = calls.call(name, place, grad, param)
        return grad

    def _back(self, calls: "_Calls", grad: Tensor, param: Tensor) -> Tensor:
        change = grad
        for name, part in self._rules.items():
            own = calls.call(name, "update", grad, param, more=[calls.time])
            change = part.spread(own, change)
        for name in self._at["on_step"]:
            lr = self._lr(calls.numbers, change)
            change = calls.call(name, "on_step", change, param, more=[lr])
        if names := self._at["on_params"]:
            new = moved = param - change
            for name in names:
                new = calls.call(name, "on_params", new)
            change = change if new is moved else param - new
        return change

    def point(self, numbers: dict[str, Tensors], vector: Tensor, state: Memory) -> Tensor:
        """Return the parameters [P] at which the model is evaluated."""
        for name, part in self.parts.items():
            if part.has("evaluated"):
                vector = part.spread(part.evaluated(numbers[name], vector, state[name]), vector)
        return vector

    def _lr(self, numbers: Mapping[str, Tensors], like: Tensor) -> Tensor:
        """Return the rate of every parameter: 0-d where there is one rule."""
        if OPTIMIZER in self._rules:
            return numbers[OPTIMIZER]["lr"]
        for name, part in self._rules.items():
            rate = numbers[name]["lr"].to(like.dtype).expand(part.size)
            like = part.spread(rate, like)
        return like


class _Calls:
    """The calls of one step, and the memory that they leave."""

    def __init__(
        self,
        parts: Mapping[str, Part],
        numbers: Numbers,
        memory: Memory,
        keys: Tensors,
        loss: Tensor | None,
        time: Tensor,
        t: int = 0,
        evaluations: Evaluations | None = None,
    ) -> None:
        self.numbers, self.memory, self.time = numbers, dict(memory), time
        self._parts, self._keys = parts, keys
        self._moment = None
        if evaluations is not None and loss is not None:
            self._moment = Moment(t, time, loss, evaluations)

    def call(self, name: str, method: str, *seen: Tensor, more: Sequence[Tensor] = ()) -> Tensor:
        """Call a method of a plugin, and keep its next memory."""
        result, self.memory[name] = self._parts[name].call(
            method,
            self.numbers[name],
            seen,
            self.memory[name],
            *more,
            moment=self._moment,
            key=self._keys.get(name),
        )
        return result


def owned(memory: Memory, *lent: Tensor) -> Memory:
    """Copy what a memory holds of the vectors that the loop goes on to change in place."""
    if not any(memory.values()):
        return memory
    places = {vector.untyped_storage()._cdata for vector in lent}
    return {
        owner: {
            name: tensor.clone() if tensor.untyped_storage()._cdata in places else tensor
            for name, tensor in state.items()
        }
        for owner, state in memory.items()
    }
