"""What torch's elementwise operations are in C, of operands that are numbers of type T.

Where a value is NaN, the results are NaN as torch's are.
"""

import math
from collections.abc import Callable

POWERS = {
    0.5: "ROOT({0})",
    1.0: "{0}",
    2.0: "({0} * {0})",
    3.0: "({0} * {0} * {0})",
    -1.0: "(1 / {0})",
    -0.5: "(1 / ROOT({0}))",
}
COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


def literal(value: float) -> str:
    """Return a number as C has it."""
    if isinstance(value, bool):
        return str(int(value))
    if math.isfinite(value):
        return f"(T){float(value)!r}"
    return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"


_ONE, _ZERO = literal(1), literal(0)


def power(base: str, exponent: float | str) -> str:
    """Return a power whose exponent is known here, or not."""
    if isinstance(exponent, str):
        return f"POWER({base}, {exponent})"
    form = POWERS.get(float(exponent), f"POWER({{0}}, {literal(exponent)})")
    return form.format(base)


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
    return x if factor == _ONE else f"{factor} * {x}"


# By the operation's name without the underscore of those in place; the operands are in the order
# of torch's arguments, those that are left out at their defaults.
EXPRESSIONS: dict[str, Callable[..., str]] = {
    "add": lambda a, b, alpha=_ONE: f"({a} + {_scaled(b, alpha)})",
    "sub": lambda a, b, alpha=_ONE: f"({a} - {_scaled(b, alpha)})",
    "rsub": lambda a, b, alpha=_ONE: f"({b} - {_scaled(a, alpha)})",
    "mul": "({0} * {1})".format,
    "div": "({0} / {1})".format,
    "neg": "(-{0})".format,
    "abs": "ABSOLUTE({0})".format,
    "sign": lambda x: f"({x} != {x} ? {x} : (T)(({x} > 0) - ({x} < 0)))",
    "sqrt": "ROOT({0})".format,
    "rsqrt": "(1 / ROOT({0}))".format,
    "reciprocal": "(1 / {0})".format,
    "exp": "EXPONENTIAL({0})".format,
    "log": "LOGARITHM({0})".format,
    "tanh": "TANGENT({0})".format,
    "sigmoid": "(1 / (1 + EXPONENTIAL(-{0})))".format,
    "maximum": lambda a, b: f"({a} != {a} || {a} > {b} ? {a} : {b})",
    "minimum": lambda a, b: f"({a} != {a} || {a} < {b} ? {a} : {b})",
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": lambda x, most: clamp(x, None, most),
    "where": "({0} ? {1} : {2})".format,
    "masked_fill": "({1} ? {2} : {0})".format,
    "logical_and": "({0} && {1})".format,
    "logical_or": "({0} || {1})".format,
    "logical_not": "(!{0})".format,
    "bitwise_and": "({0} && {1})".format,
    "bitwise_or": "({0} || {1})".format,
    "isfinite": lambda x: f"({x} - {x} == 0)",
    "isnan": "({0} != {0})".format,
    "lerp": lerp,
    "addcmul": lambda x, a, b, value=_ONE: f"({x} + {_scaled(a, value)} * {b})",
    "addcdiv": lambda x, a, b, value=_ONE: f"({x} + {_scaled(a, value)} / {b})",
    "copy": lambda _, source, *__: source,
    "clone": "{0}".format,
    "detach": "{0}".format,
    "alias": "{0}".format,
    "lift_fresh": "{0}".format,
    "_to_copy": "((T){0})".format,
    "zeros_like": lambda *_: _ZERO,
    "zero": lambda *_: _ZERO,
    "ones_like": lambda *_: _ONE,
    "full_like": lambda _, value: value,
    "fill": lambda _, value: value,
    **{name: f"({{0}} {sign} {{1}})".format for name, sign in COMPARISONS.items()},
}
