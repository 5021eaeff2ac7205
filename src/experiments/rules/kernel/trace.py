"""The operations that a rule does on a vector, if each acts on every number by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.rules.kernel.expressions import EXPRESSIONS, literal, power

Scalars = Callable[[Sequence[Tensor]], list[float]]
Function = Callable[[], Sequence[Tensor]]
# Arguments that say how a result lies in memory and not what it is.
_IGNORED = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking"}


class UnfitError(Exception):
    """An operation that is not elementwise, or that is unknown here."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What is computed of every number: C expressions by name, of which some are results.

    An expression uses those before it, the inputs `x0, x1, ...` and the scalars `c0, c1, ...`,
    which `scalars` computes from the 0-d tensors that go in.
    """

    expressions: Mapping[str, tuple[str, bool]]  # and whether it is a truth, and no number
    results: Sequence[str]
    scalars: Scalars


def traced(
    function: Function, vectors: Sequence[Tensor], scalars: Sequence[Tensor]
) -> tuple[Formula, Sequence[Tensor]]:
    """Call a function of these vectors [P] and 0-d tensors; return what it does, and its results.

    Raises UnfitError where it is not elementwise, or depends on the values of the tensors.
    """
    trace = _Trace(vectors, scalars)
    with trace:
        results = function()
    return trace.formula(results), results


class _Trace(TorchDispatchMode):
    def __init__(self, vectors: Sequence[Tensor], scalars: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._like = vectors[0]
        self._names = {id(vector): f"x{n}" for n, vector in enumerate(vectors)}
        self._expressions: dict[str, tuple[str, bool]] = {}
        self._given = len(scalars)
        self._places = {id(scalar): n for n, scalar in enumerate(scalars)}
        self._made: list[Callable[[Sequence[Any]], Any]] = []  # the other scalars, in order
        self._used: list[int] = []  # the places of scalars that expressions use
        self._alive: list[Any] = [vectors, scalars]  # while it is, its id is no other's

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not isinstance(out, Tensor):
            raise UnfitError(f"{func} looks at values")
        self._alive.append(out)
        if all(one.dim() == 0 for one in [out, *args] if isinstance(one, Tensor)):
            self._compute(func, args, kwargs, out)
        else:
            self._express(func, args, kwargs, out)
        return out

    def formula(self, results: Sequence[Tensor]) -> Formula:
        """Return what was done to make results."""
        names = [self._operand(result) for result in results]
        made, used = list(self._made), list(self._used)

        def scalars(given: Sequence[Tensor]) -> list[float]:
            values = list(given)
            for make in made:
                values.append(make(values))
            return [values[place].item() for place in used]

        return Formula(self._expressions, names, scalars)

    def _compute(self, func: Any, args: Any, kwargs: dict[str, Any], out: Tensor) -> None:
        """Note how a scalar is made of others."""
        if func._schema.is_mutable:
            raise UnfitError(f"{func} changes a number")
        places = [self._place(arg) if isinstance(arg, Tensor) else None for arg in args]

        def make(values: Sequence[Any]) -> Any:
            own = (a if n is None else values[n] for a, n in zip(args, places, strict=True))
            return func(*own, **kwargs)

        self._places[id(out)] = self._given + len(self._made)
        self._made.append(make)

    def _place(self, scalar: Tensor) -> int:
        """Return which of all scalars a 0-d tensor is; an unknown one is a constant."""
        if id(scalar) not in self._places:
            self._alive.append(scalar)
            self._places[id(scalar)] = self._given + len(self._made)
            self._made.append(lambda _: scalar)
        return self._places[id(scalar)]

    def _express(self, func: Any, args: Any, kwargs: dict[str, Any], out: Tensor) -> None:
        """Note how a number of a vector is made of others."""
        truth = out.dtype == torch.bool
        if out.shape != self._like.shape or not (truth or out.dtype == self._like.dtype):
            raise UnfitError(f"{func} returns another shape or dtype")
        name = func._schema.name.removeprefix("aten::")
        name = name.rstrip("_") if func._schema.is_mutable else name
        operands = {key: self._operand(v) for key, v in kwargs.items() if key not in _IGNORED}
        given = [self._operand(arg) for arg in args]
        if name == "pow" and not isinstance(args[1], Tensor):
            text = power(given[0], args[1])
        elif name in EXPRESSIONS:
            text = EXPRESSIONS[name](*given, **operands)
        else:
            raise UnfitError(f"{func} is not known to be elementwise")
        new = f"y{len(self._expressions)}"
        self._expressions[new] = text, truth
        self._names[id(out)] = new

    def _operand(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.dim():
            if id(value) not in self._names:
                raise UnfitError("a vector comes from elsewhere")
            return self._names[id(value)]
        if isinstance(value, Tensor):
            place = self._place(value)
            if place not in self._used:
                self._used.append(place)
            return f"c{self._used.index(place)}"
        return literal(value) if isinstance(value, int | float) else value
