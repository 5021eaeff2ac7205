"""The operations that a rule does on a vector, if each acts on every number by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.rules.kernel.expressions import ALIASES, EXPRESSIONS, TYPES, literal

Function = Callable[[], Sequence[Tensor]]
# Arguments that say how a result lies in memory and not what it is.
_IGNORED = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking"}
# Methods that tell a tensor's values without an operation.
_TELLING = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.data_ptr}


class UnfitError(Exception):
    """An operation that is not elementwise, or that is unknown here."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What is computed of every number: C expressions by name, of which some are results.

    An expression uses those before it, the inputs `x0, x1, ...` and the scalars `c0, c1, ...`.
    Those of `scalars` come first: they are the same for all numbers.
    """

    scalars: Mapping[str, tuple[str, str]]  # type and expression
    expressions: Mapping[str, tuple[str, str]]
    results: Sequence[str]


def traced(function: Function, vectors: Sequence[Tensor], scalars: Sequence[Tensor]) -> Formula:
    """Call a function of these vectors [P] and 0-d tensors, and return what it does.

    Raises UnfitError where it is not elementwise, or depends on the values of the tensors.
    """
    trace = _Trace(vectors, scalars)
    with trace, _Unseen():
        results = function()
    return trace.formula(results)


class _Unseen(TorchFunctionMode):
    """Refuses to tell a tensor's values by ways that no operation shows."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _TELLING:
            raise UnfitError(f"{func.__name__} looks at values")
        return func(*args, **(kwargs or {}))


class _Trace(TorchDispatchMode):
    def __init__(self, vectors: Sequence[Tensor], scalars: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._like = vectors[0]
        self._names = {id(vector): f"x{n}" for n, vector in enumerate(vectors)}
        self._names |= {id(scalar): f"c{n}" for n, scalar in enumerate(scalars)}
        self._scalars: dict[str, tuple[str, str]] = {}
        self._expressions: dict[str, tuple[str, str]] = {}
        self._together: dict[int, list[int]] = {}  # ids of tensors that share their memory
        self._alive: list[Any] = [vectors, scalars]  # while it is, its id is no other's

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor):
            raise UnfitError(f"{func} looks at values")
        self._alive += [out, *args]
        is_scalar = all(one.dim() == 0 for one in [out, *args] if isinstance(one, Tensor))
        if is_scalar and func._schema.is_mutable:
            raise UnfitError(f"{func} changes a number in place")
        if not is_scalar and out.shape != self._like.shape:
            raise UnfitError(f"{func} returns another shape")
        own, letter = (self._scalars, "z") if is_scalar else (self._expressions, "y")
        kind = self._type(out, is_scalar=is_scalar)
        new = f"{letter}{len(own)}"
        own[new] = kind, self._expression(func, args, kwargs or {}, is_scalar=is_scalar)
        if func._schema.name in ALIASES:  # what becomes of one becomes of the other
            self._together[id(out)] = self._together.setdefault(id(args[0]), [id(args[0])])
            self._together[id(out)].append(id(out))
        same = self._together.get(id(out), []) if func._schema.is_mutable else []
        self._names |= dict.fromkeys([id(out), *same], new)
        return out

    def formula(self, results: Sequence[Tensor]) -> Formula:
        """Return what was done to make results."""
        return Formula(self._scalars, self._expressions, list(map(self._operand, results)))

    def _expression(self, func: Any, args: Any, kwargs: dict[str, Any], *, is_scalar: bool) -> str:
        """Write what an operation does to a number of each vector, or to scalars."""
        # What meets a vector is converted to its type first; scalars keep the widest of theirs.
        floats = {a.dtype for a in args if isinstance(a, Tensor) and a.is_floating_point()}
        kind = "T" if not is_scalar else "float" if floats == {torch.float32} else "double"
        name = func._schema.name.removeprefix("aten::")
        name = name.rstrip("_") if func._schema.is_mutable else name
        truth = name == "_to_copy" and kwargs.get("dtype") == torch.bool
        if name not in EXPRESSIONS or truth:
            raise UnfitError(f"{func} is not known to be elementwise")
        given = [self._operand(arg, kind) for arg in args]
        if name == "pow" and not isinstance(args[1], Tensor):
            given.append(args[1])
        more = {key: self._operand(v, kind) for key, v in kwargs.items() if key not in _IGNORED}
        try:
            return EXPRESSIONS[name](*given, **more)
        except TypeError as error:  # an argument that is unknown here, as a mode of rounding
            raise UnfitError(f"{func} is not known with {', '.join(more)}") from error

    def _type(self, out: Tensor, *, is_scalar: bool) -> str:
        if out.dtype == self._like.dtype:
            return "T"
        if out.dtype == torch.bool or (is_scalar and out.dtype in TYPES):
            return TYPES[out.dtype]
        raise UnfitError(f"a result is of {out.dtype}")

    def _operand(self, value: Any, kind: str = "T") -> Any:
        """Write an argument in a type: what is known of each number keeps its own."""
        if isinstance(value, Tensor) and id(value) in self._names:
            name = self._names[id(value)]
            return name if value.dim() or value.dtype == torch.bool else f"(({kind}){name})"
        if isinstance(value, Tensor) and value.dim():
            raise UnfitError("a vector comes from elsewhere")
        if isinstance(value, Tensor):
            value = value.item()
        return literal(value, kind) if isinstance(value, int | float) else value
