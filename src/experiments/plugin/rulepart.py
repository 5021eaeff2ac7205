"""What the parts of an update rule are and do: the optimizer, and the transforms around it.

torch is imported for types alone: the process that uploads results starts without it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from experiments.plugin.bounds import number
from experiments.plugin.kinds import Plugin
from experiments.plugin.spec import Batch, Parameter, Scope, State

if TYPE_CHECKING:
    from torch import Tensor


NEEDS = frozenset({"loss", "gradient", "hvp", "noise", "t"})


@dataclass(kw_only=True, slots=True)
class RulePart(Plugin):
    """A part of the update rule: the optimizer, or one of the transforms around it.

    It sees the vector of all parameters at once, or with `scope = Scope.tensor` each parameter by
    itself, in its own shape. What it `needs` beside the gradient it finds in `self.batch`: `loss`,
    `gradient` and `hvp` are evaluated anew on the batch of the step, `noise` is drawn for it, and
    `t` is the step as a Python number.
    Numbers among the fields are 0-d tensors in every method but `__post_init__`: use them by
    arithmetic, never in an `if`.
    """

    scope: ClassVar[Scope] = Scope.vector
    needs: ClassVar[Collection[str]] = ()
    in_lanes: ClassVar[bool] = True  # whether it can be vectorized over runs
    in_programs: ClassVar[bool] = True  # whether steps of it can be compiled
    full_batch: ClassVar[bool] = False  # whether each step must see all of the train split
    batch: ClassVar[Batch]  # of the step, in a run of a rule that needs it

    def evaluated(self, param: Tensor, state: State) -> Tensor:
        """Return the parameters at which the model is evaluated, checkpointed and exported."""
        return param


@dataclass(kw_only=True, slots=True)
class Optimizer(RulePart):
    """An update rule: it turns a gradient into the step that the loop subtracts."""

    lr: float = number(at_least=0)

    def init(self, param: Tensor) -> State:
        """Return the rule's memory before the first step; raise ValueError for what it cannot."""
        return {}

    @abstractmethod
    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        """Return the step and the next state at step t = 1, 2, ..."""

    def routes(self, layout: list[Parameter]) -> dict[str, Route]:
        """Return which rule takes which parameters, each of them once, by the routes' names.

        Raises ValueError where that does not come out even.
        """
        return {"": Route(self, layout)}


class Route(NamedTuple):
    """A rule, and the parameters that it takes."""

    rule: Optimizer
    layout: list[Parameter]


@dataclass(kw_only=True, slots=True)
class Transform(RulePart):
    """Changes what a rule is given, or what it gives, at one of four places.

    In the order of a step: `on_batch`, `on_gradient`, the rule, `on_step`, `on_params`; with
    several transforms each place is in the order of `transform=[...]`.
    """

    def init(self, param: Tensor, layout: list[Parameter]) -> State:
        """Return the transform's memory; `layout` says which part of `param` is what."""
        return {}

    def on_batch(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the gradient of the batch, taken elsewhere than at `param`; and the next state."""
        return grad, state

    def on_gradient(self, grad: Tensor, param: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the gradient that the rule sees, and the next state."""
        return grad, state

    def on_step(
        self, step: Tensor, param: Tensor, state: State, lr: Tensor
    ) -> tuple[Tensor, State]:
        """Return the step that the loop subtracts, and the next state."""
        return step, state

    def on_params(self, param: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the parameters after the step, which are `param` or others; and the next state."""
        return param, state


def within(plugin: RulePart) -> Iterator[RulePart]:
    """Yield a part of a rule, and the rules that it holds."""
    yield plugin
    for field in fields(plugin):
        held = getattr(plugin, field.name)
        for one in held.values() if isinstance(held, dict) else [held]:
            if isinstance(one, RulePart):
                yield from within(one)
