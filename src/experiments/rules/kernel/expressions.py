"""What torch's elementwise operations are in C, of operands that are numbers.

Where a value is NaN, the results are NaN as torch's are. T is the type of a vector's numbers: what
meets these is converted to it first, as torch does.
"""

import math
from collections.abc import Callable

import torch

ALIASES = {"aten::detach", "aten::alias"}
TYPES = {torch.float32: "float", torch.float64: "double", torch.bool: "int"}

POWERS: dict[float | None, str] = {
    0.5: "sqrt({0})",
    1.0: "{0}",
    2.0: "({0} * {0})",
    3.0: "({0} * {0} * {0})",
    -1.0: "(1 / {0})",
    -0.5: "(1 / sqrt({0}))",
}
COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


def literal(value: float, own: str = "T") -> str:
    """Return a number as a C constant of a type."""
    if isinstance(value, bool):
        return str(int(value))
    if math.isfinite(value):
        return f"(({own}){float(value)!r})"
    return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "(-INFINITY)"


def _of(form: str) -> Callable[..., str]:
    """Return the function that fills a form with operands, and takes nothing else."""

    def filled(*operands: str) -> str:
        return form.format(*operands)

    return filled


def power(base: str, exponent: str, known: float | None = None) -> str:
    """Return a power, whose exponent may be known."""
    return POWERS.get(known, "pow({0}, {1})").format(base, exponent)


def clamp(x: str, least: str | None = None, most: str | None = None) -> str:
    """Return a number within limits."""
    if least is not None:
        x = f"({x} < {least} ? {least} : {x})"
    return x if most is None else f"({x} > {most} ? {most} : {x})"


def lerp(start: str, end: str, weight: str) -> str:
    """Return a number between two, computed from the nearer one."""
    gap = f"({end} - {start})"
    return f"({weight} < (T)0.5 ? {start} + {weight} * {gap} : {end} - {gap} * (1 - {weight}))"


def _scaled(x: str, factor: str) -> str:
    return x if factor == "1" else f"{factor} * {x}"


# By the operation's name without the underscore of those in place; the operands are in the order
# of torch's arguments, those that are left out at their defaults.
EXPRESSIONS: dict[str, Callable[..., str]] = {
    "add": lambda a, b, alpha="1": f"({a} + {_scaled(b, alpha)})",
    "sub": lambda a, b, alpha="1": f"({a} - {_scaled(b, alpha)})",
    "rsub": lambda a, b, alpha="1": f"({b} - {_scaled(a, alpha)})",
    "mul": _of("({0} * {1})"),
    "div": _of("({0} / {1})"),
    "pow": power,
    "neg": _of("(-{0})"),
    "abs": _of("fabs({0})"),
    "sign": lambda x: f"({x} != {x} ? {x} : (T)(({x} > 0) - ({x} < 0)))",
    "sqrt": _of("sqrt({0})"),
    "rsqrt": _of("(1 / sqrt({0}))"),
    "reciprocal": _of("(1 / {0})"),
    **{name: _of(f"{name}({{0}})") for name in ("exp", "expm1", "log", "log1p", "sin", "cos")},
    "tanh": _of("tanh({0})"),
    "sigmoid": _of("(1 / (1 + exp(-{0})))"),
    "maximum": lambda a, b: f"({a} != {a} || {a} > {b} ? {a} : {b})",
    "minimum": lambda a, b: f"({a} != {a} || {a} < {b} ? {a} : {b})",
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda x, most: clamp(x, None, most),
    "where": _of("({0} ? {1} : {2})"),
    "masked_fill": _of("({1} ? {2} : {0})"),
    "logical_and": _of("({0} && {1})"),
    "logical_or": _of("({0} || {1})"),
    "logical_not": _of("(!{0})"),
    "bitwise_not": _of("(!{0})"),  # of truths alone: no vector is of whole numbers
    "bitwise_and": _of("({0} && {1})"),
    "bitwise_or": _of("({0} || {1})"),
    "isfinite": lambda x: f"({x} - {x} == 0)",
    "isnan": _of("({0} != {0})"),
    "lerp": lerp,
    "addcmul": lambda x, a, b, value="1": f"({x} + {_scaled(a, value)} * {b})",
    "addcdiv": lambda x, a, b, value="1": f"({x} + {_scaled(a, value)} / {b})",
    "copy": lambda _, source, *__: source,
    "clone": _of("{0}"),
    "detach": _of("{0}"),
    "alias": _of("{0}"),
    "lift_fresh": _of("{0}"),
    "scalar_tensor": _of("{0}"),
    "_to_copy": _of("{0}"),
    "zeros_like": lambda *_: "0",
    "zero": lambda *_: "0",
    "ones_like": lambda *_: "1",
    "full_like": lambda _, value: value,
    "fill": lambda _, value: value,
    **{name: _of(f"({{0}} {sign} {{1}})") for name, sign in COMPARISONS.items()},
}
