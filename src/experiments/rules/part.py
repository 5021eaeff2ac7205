"""One plugin of a rule at its place: what it sees of the parameters, and what it remembers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.plugin.rulepart import Optimizer, RulePart, Transform
from experiments.plugin.spec import Parameter, Scope, State, Tensors
from experiments.rules import returned
from experiments.rules.again import Again, Moment
from experiments.rules.layout import Layout
from experiments.rules.numbers import filled


class Part:
    """An optimizer or a transform, and the parameters that it takes: mostly all.

    It is called with vectors [P] of all parameters, of one run or of one lane; the plugin sees its
    own part of them, or with `scope = Scope.tensor` one parameter after the other. What it returns
    is checked the first time.
    """

    def __init__(self, plugin: RulePart, layout: Layout, taken: Sequence[Parameter]) -> None:
        self.plugin = plugin
        self.name = f"{registry.kind_of(type(plugin))}={registry.name_of(type(plugin))}"
        # Alone, a number would take the float64 of a rule's numbers: it is seen as a vector of one.
        taken = [one if one.shape else replace(one, shape=torch.Size([1])) for one in taken]
        self._all, self._taken, self._own = layout, taken, layout.of(taken)
        returned.check_declared(self.name, plugin)
        self._scope = Scope(plugin.scope)
        self._is_whole = len(taken) == len(layout.places)
        self._checked: set[tuple[str, str]] = set()  # methods, and of which parameter

    @property
    def size(self) -> int:
        """Count the numbers of its parameters."""
        return self._own.size

    def has(self, method: str) -> bool:
        """Say whether the plugin has a method of its own, and not that of its kind."""
        return returned.has_own(self.plugin, method)

    def init(self, numbers: Tensors, vector: Tensor) -> State:
        """Return the plugin's memory before the first step; raise ConfigError for what it cannot.

        Where it sees one parameter after the other, its tensors are called name/parameter.
        """
        plugin = filled(self.plugin, numbers)
        memory: State = {}
        for place, (param,), _ in self._seen([vector], {}):
            where = self._where(place)
            layout = self._own if place is None else self._own.of([place])
            try:
                with returned.telling(f"{where}: init", plugin):
                    own = _memory(plugin, param, layout.places)
            except ValueError as error:
                raise ConfigError(f"{where}: {error}.") from error
            returned.check_memory(f"{where}: init", own)
            memory |= {_key(name, place): tensor for name, tensor in own.items()}
        # Attributes that `init` has made are the plugin's, though it saw a copy of it.
        for name, value in vars(plugin).items():
            if name not in numbers:
                setattr(self.plugin, name, value)
        return memory

    def call(
        self,
        method: str,
        numbers: Tensors,
        vectors: Sequence[Tensor],
        state: State,
        *more: Tensor,
        moment: Moment | None = None,
        key: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Call a method with the plugin's numbers; return its part of a vector and its memory.

        The last of the vectors are the parameters. A plugin that looks again is lent the `moment`,
        and the `key` of its noise.
        """
        plugin = filled(self.plugin, numbers)
        lent = None if moment is None or key is None else (moment, key, vectors[-1])
        if self._scope is Scope.vector:
            seen = vectors if self._is_whole else [self._gathered(own) for own in vectors]
            return self._called(plugin, method, None, [*seen, dict(state), *more], lent)
        results: list[Tensor] = []
        after: State = {}
        for place, seen, memory in self._seen(vectors, state):
            assert place is not None
            own = [self._of(place, one) if one.dim() else one for one in more]
            given = self._called(plugin, method, place, [*seen, memory, *own], lent)
            results.append(self._own.flat(given[0], place))
            after |= {_key(name, place): tensor for name, tensor in given[1].items()}
        return torch.cat(results), after

    def _called(
        self,
        plugin: RulePart,
        method: str,
        place: Parameter | None,
        arguments: list[Any],
        lent: tuple[Moment, Tensor, Tensor] | None,
    ) -> tuple[Tensor, State]:
        """Call a method for what the plugin sees at a place, and check what it returns at first."""
        if lent is not None:
            put, take = partial(self._with, place), partial(self._of, place)
            object.__setattr__(plugin, "batch", Again(*lent, put, take))
        where = method, place.name if place else ""
        if where in self._checked:
            given: tuple[Tensor, State] = getattr(plugin, method)(*arguments)
            return given
        told = f"{self._where(place)}: {method}"
        count = next(n for n, own in enumerate(arguments) if isinstance(own, dict))
        memory, before = dict(arguments[count]), dict(vars(plugin))
        with returned.telling(told, plugin):
            given = getattr(plugin, method)(*arguments)
        returned.check_pair(told, given, arguments[0], memory)
        returned.check_attributes(told, before, vars(plugin))
        self._checked.add(where)
        return given

    def evaluated(self, numbers: Tensors, vector: Tensor, state: State) -> Tensor:
        """Return the plugin's part of the parameters at which the model is evaluated."""
        plugin: Any = filled(self.plugin, numbers)
        results: list[Tensor] = []
        for place, (param,), memory in self._seen([vector], state):
            with returned.telling(f"{self._where(place)}: evaluated", plugin):
                result = plugin.evaluated(param, memory)
            returned.check_vector(f"{self._where(place)}: evaluated", result, param)
            results.append(result if place is None else self._own.flat(result, place))
        return torch.cat(results) if len(results) > 1 else results[0]

    def spread(self, part: Tensor, vector: Tensor) -> Tensor:
        """Return a vector [P] of all parameters with the plugin's part of it replaced."""
        if self._is_whole:
            return part
        own = {place.name: part[place.start : place.stop] for place in self._own.places}
        return torch.cat(
            [own.get(place.name, vector[place.start : place.stop]) for place in self._all.places]
        )

    def _seen(
        self, vectors: Sequence[Tensor], state: State
    ) -> Iterator[tuple[Parameter | None, list[Tensor], State]]:
        """Yield what the plugin sees at once of vectors [P] and of its memory."""
        own = [self._gathered(vector) for vector in vectors]
        if self._scope is Scope.vector:
            yield None, own, state
            return
        split = [self._own.split(vector) for vector in own]
        for place in self._own.places:
            suffix = _key("", place)
            memory = {k.removesuffix(suffix): t for k, t in state.items() if k.endswith(suffix)}
            yield place, [tensors[place.name] for tensors in split], memory

    def _gathered(self, vector: Tensor) -> Tensor:
        if self._is_whole:
            return vector
        return torch.cat([vector[place.start : place.stop] for place in self._taken])

    def _of(self, place: Parameter | None, vector: Tensor) -> Tensor:
        """Return what the plugin sees at a place of a vector [P]."""
        own = self._gathered(vector)
        return own if place is None else self._own.split(own)[place.name]

    def _with(self, place: Parameter | None, vector: Tensor, seen: Tensor) -> Tensor:
        """Return a vector [P] with what the plugin sees at a place replaced."""
        if place is not None:
            own = self._own.split(self._gathered(vector))
            seen = self._own.join(own | {place.name: seen})
        return self.spread(seen, vector)

    def _where(self, place: Parameter | None) -> str:
        return self.name if place is None else f"{self.name}: parameter {place.name}"


def _memory(plugin: RulePart, param: Tensor, layout: list[Parameter]) -> State:
    if isinstance(plugin, Transform):
        return plugin.init(param, layout)
    assert isinstance(plugin, Optimizer)
    return plugin.init(param)


def _key(name: str, place: Parameter | None) -> str:
    """Name a tensor of the memory, which a rule may keep of each parameter."""
    return name if place is None else f"{name}/{place.name}"
