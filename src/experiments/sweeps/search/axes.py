"""What the settings of a command line vary, and what they fix, for a search."""

import math
import re
from collections.abc import Sequence

from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    ParsedElementType,
    Quote,
    QuotedString,
    RangeSweep,
    Transformer,
)

from experiments.config import consent, limits
from experiments.errors import ConfigError, options
from experiments.sweeps.search.space import Axis, Categories, Space, Span, exact, near_one

# What needs no quotes to stay a name.
_PLAIN = re.compile(r"(?!(?i:true|false|null|nan|inf)$)[A-Za-z_][A-Za-z0-9_.-]*")


def separated(overrides: Sequence[Override]) -> tuple[Space, dict[str, str]]:
    """Return what varies by its key, and the lines of what does not; raise ConfigError.

    `a=interval(0,1)` is every number between, `a=int(interval(1,8))` the whole ones, both ends
    included; `a=range(0,1,0.25)` leaves its end out; `a=x,y` and `a=choice(x,y)` are names.
    Only `tag(log,...)` makes magnitudes as likely as each other: no interval is taken for one that
    is logarithmic because its ends are far apart. `tag(complement,...)` does so for what numbers
    lack to 1, as those of averages.
    """
    axes: dict[str, Axis] = {}
    fixed: dict[str, str] = {}
    for override in overrides:
        key = override.get_key_element()
        axes.pop(key, None)  # a later setting of the same key wins
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = override.input_line or ""
            continue
        consent.check_shared([override.input_line or ""])
        if isinstance(axis := axis_of(override), str):
            fixed[key] = f"{key}={axis}"
        else:
            axes[key] = axis
    return dict(sorted(axes.items())), fixed


def axis_of(override: Override) -> Axis | str:
    """Return what a swept setting stands for; of a single value its text. Raise ConfigError."""
    value, line = override.value(), override.input_line
    if isinstance(value, IntervalSweep):
        return _interval(value, line, _scale(value.tags, line))
    if isinstance(value, RangeSweep):
        return _range(value, line, _scale(value.tags, line))
    if isinstance(value, ChoiceSweep):
        value.shuffle = False  # the sampler decides the order
        if tag := _scale(value.tags, line):
            told = f"{tag} is for numbers; write tag({tag},interval(LOW,HIGH))"
            raise ConfigError(f"{line}: {told}.")
    texts = tuple(dict.fromkeys(map(_text, override.sweep_iterator())))
    if not texts:
        raise ConfigError(f"{line}: there is nothing to sweep over.")
    return Categories(texts) if len(texts) > 1 else texts[0]


def _text(value: ParsedElementType) -> str:
    """Return a value as it stands on a command line; Hydra leaves the quotes of names out."""
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return QuotedString(value, Quote.single).with_quotes()
    return Transformer.str(value)


def _scale(tags: set[str], line: str | None) -> str:
    """Return the tag that a setting has, or "" for none."""
    if wrong := tags - {"log", "complement"}:
        allowed = options(min(wrong), ["log", "complement"])
        raise ConfigError(f"{line}: there is no tag {min(wrong)}; {allowed}")
    if len(tags) > 1:
        raise ConfigError(f"{line}: one tag is enough; complement is on a log scale as well.")
    return next(iter(tags), "")


def _interval(sweep: IntervalSweep, line: str | None, scale: str) -> Span:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{line}: an interval goes from a lower to a higher number.")
    if not math.isfinite(high - low):
        raise ConfigError(f"{line}: the interval is too wide for a number.")
    if scale == "log" and low <= 0:
        raise ConfigError(f"{line}: a logarithmic interval begins above 0.")
    if scale == "complement" and high >= 1:
        raise ConfigError(f"{line}: an interval of complements ends below 1.")
    if scale == "complement":
        return near_one(low, high)
    whole = isinstance(low, int) and isinstance(high, int)
    return Span(low, high, 1 if whole else None, scale == "log")


def _range(sweep: RangeSweep, line: str | None, scale: str) -> Span | str:
    start, stop, step = sweep.start or 0, sweep.stop or 0, sweep.step
    # By what is written, of which the end is never one.
    count = limits.count(exact(start), exact(stop), exact(step))
    if count == 0:
        raise ConfigError(f"{line}: there is nothing to sweep over.")
    if count > limits.MOST_JOBS:
        raise ConfigError(f"{line}: a range has at most {limits.MOST_JOBS} numbers.")
    if not all(isinstance(number, int) for number in (start, stop, step)):
        start, step = float(start), float(step)
    last = Span(start, start, step).number(int(count) - 1)
    if scale == "complement":
        raise ConfigError(f"{line}: complement is for intervals, as interval(0.9,0.999).")
    if scale and not (step == 1 and min(start, last) > 0 and isinstance(step, int)):
        raise ConfigError(f"{line}: log is for intervals, and for whole numbers above 0, step 1.")
    if count == 1:
        return repr(start)
    return Span(min(start, last), max(start, last), abs(step), bool(scale))
