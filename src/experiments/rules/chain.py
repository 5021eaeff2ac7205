"""The arithmetic of a step: transforms around the rules of the routes, each at its place."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from experiments.plugin.rulepart import Optimizer, RulePart, Transform
from experiments.plugin.spec import State, Tensors
from experiments.rules.again import Moment
from experiments.rules.evaluations import Evaluations
from experiments.rules.layout import Layout
from experiments.rules.part import Part
from experiments.rules.routes import OPTIMIZER, numbers_of, routes_of

Memory = dict[str, State]

_PLACES = ("on_batch", "on_gradient", "on_step", "on_params")  # of transforms


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
            place: [name for name in transforms if self.parts[name].has(place)] for place in _PLACES
        }

    def init(self, vector: Tensor) -> Memory:
        """Return the memory of every rule and transform before the first step."""
        return {name: _kept(part.init(vector), vector) for name, part in self.parts.items()}

    def step(
        self,
        numbers: dict[str, Tensors],
        grad: Tensor,
        param: Tensor,
        state: Memory,
        keys: Tensors,
        loss: Tensor | None,
        time: Tensor,
        t: int = 0,
        evaluations: Evaluations | None = None,
    ) -> tuple[Tensor, Memory]:
        """Return the change of all parameters [P], and the next memory.

        Plugins that look again at a batch need their `keys` of noise, its loss and evaluations.
        """
        moment = None
        if evaluations is not None and loss is not None:
            moment = Moment(t, time, loss, evaluations)
        numbers = numbers | {name: numbers_of(name, numbers) for name in self._rules}
        after = dict(state)

        def call(name: str, method: str, *seen: Tensor, more: Sequence[Tensor] = ()) -> Tensor:
            result, memory = self.parts[name].call(
                method, numbers[name], seen, after[name], *more, moment=moment, key=keys.get(name)
            )
            after[name] = _kept(memory, *seen)
            return result

        change = grad
        for place in ("on_batch", "on_gradient"):
            for name in self._at[place]:
                change = call(name, place, change, param)
        given = change
        for name, part in self._rules.items():
            change = part.spread(call(name, "update", given, param, more=[time]), change)
        for name in self._at["on_step"]:
            change = call(name, "on_step", change, param, more=[self._lr(numbers, change)])
        if names := self._at["on_params"]:
            new = moved = param - change
            for name in names:
                new = call(name, "on_params", new)
            change = change if new is moved else param - new
        return change, after

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


def _kept(state: State, *lent: Tensor) -> State:
    """Copy what a memory holds of the vectors that the loop goes on to change in place."""
    return {
        name: tensor.clone() if any(tensor is one for one in lent) else tensor
        for name, tensor in state.items()
    }
