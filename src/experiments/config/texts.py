"""Texts of a command line, in quotes where Hydra's grammar would take them apart."""

import re
import shlex
from collections.abc import Mapping
from enum import Enum
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from experiments.config import limits, schema
from experiments.text import as_value, quoted

_LINE = re.compile(r"([+]{0,2}[\w.]+)=(.+)", re.DOTALL)
_QUOTED = re.compile(r"""'(?:[^\\']|\\.)*'|"(?:[^\\"]|\\.)*\"""", re.DOTALL)
_QUOTED_ITEM = re.compile(
    rf"(?:^|(?<=[,\[(]))\s*(?:{_QUOTED.pattern})(?=\s*(?:[,\])]|$))", re.DOTALL
)
_LIST = re.compile(r"\s*\[(.*)\]\s*", re.DOTALL)
_CHOICE = re.compile(r"\s*choice\((.+)\)\s*", re.DOTALL)
_LONGEST = 300  # characters that a message shows whole
_SPECIAL = re.compile(r"[()\[\]{}:=,\s]")
# By these Hydra takes such a character for itself; other backslashes are those of a path.
_ESCAPE = re.compile(rf"\\{_SPECIAL.pattern}")


class _Takes(Enum):
    """What a setting's value may be."""

    other = "no text"
    text = "a text and nothing else"
    texts = "a list of texts"
    either = "a text or a list of texts"
    any = "texts among others"


def as_typed(line: str, *, several: bool = True) -> str:
    """Return a setting such that Hydra takes the texts in it as they are typed.

    `several` values have commas between them, as the items of a list in brackets have. Quotes,
    `null`, references, `choice(...)` and backslashes before brackets and the like keep the meaning
    that Hydra gives them. A setting of no text is left as it is.
    """
    found = _LINE.fullmatch(line)
    takes = _taken(found[1].lstrip("+")) if found else _Takes.other
    if found is None or takes is _Takes.other:
        return line
    key, value = found.groups()
    if takes is _Takes.any and _parsed(value) is not None:
        return line
    parts = _parts(value) if several else [value]
    return f"{key}={','.join(_one(part, takes) for part in parts)}"


def of_params(params: Mapping[str, Any] | None) -> list[str]:
    """Return the settings that a sweeper's own configuration gives values; raise ConfigError."""
    lines = [f"{key}={value}" for key, value in (params or {}).items()]
    limits.check_lines(lines)
    return list(map(as_typed, lines))


def pasted(line: str) -> str:
    """Return what to type in a shell for a setting with one text; nothing where that is long."""
    found = _LINE.fullmatch(line)
    typed = shlex.quote(f"{found[1]}={quoted(found[2])}") if found else ""
    return typed if len(typed) <= _LONGEST else ""


def several_values(line: str) -> str:
    """Say that a single run cannot have a setting's values, and how one text is written."""
    key, _, value = line.partition("=")
    takes, typed = _taken(key.lstrip("+")), pasted(line)
    if takes is _Takes.texts:
        typed = shlex.quote(f"{key}=[{value}]")
    more = f"; as one value it is {typed}" if typed and takes is not _Takes.other else ""
    return f"{key} has several values; add -m to sweep over them{more}."


def _one(part: str, takes: _Takes) -> str:
    """Return one value with quotes where it needs some."""
    if choice := _CHOICE.fullmatch(part):
        return f"choice({','.join(_one(item, takes) for item in _parts(choice[1]))})"
    items = _LIST.fullmatch(part)
    if takes is not _Takes.text and items:
        return f"[{','.join(map(_text, _parts(items[1])))}]" if items[1].strip() else part
    value = _parsed(part)
    if takes is not _Takes.texts or (value is not None and not isinstance(value.value(), str)):
        return _text(part)
    return part if "${" in part else f"[{_text(part)}]"


def _text(part: str) -> str:
    """Return one text with quotes where Hydra would take it otherwise."""
    if as_value(part) == part or _QUOTED.fullmatch(part.strip()):
        return part
    found = _parsed(part)
    if found is None:
        return quoted(part)
    value = found.value()
    is_function = found.is_sweep_override() and not getattr(value, "simple_form", False)
    is_same = str(value) == part and ("${" in part or not _SPECIAL.search(part))
    return part if value is None or is_function or is_same or _ESCAPE.search(part) else quoted(part)


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no quotes and, where these are balanced, in no brackets."""
    masked = _QUOTED_ITEM.sub(lambda found: "_" * len(found[0]), text)
    depth = list(accumulate((c in "([{") - (c in ")]}") for c in masked))
    is_balanced = min(depth) >= 0 and depth[-1] == 0
    commas = [n for n, c in enumerate(masked) if c == "," and not (is_balanced and depth[n])]
    if not commas:
        return [text]
    parts = [text[start + 1 : end].strip() for start, end in pairwise([-1, *commas, len(text)])]
    return parts if all(parts) else [text]


def _parsed(value: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, ValueError):
        return None


def _taken(key: str) -> _Takes:
    """Return what a setting takes, by its key; of a plugin's field, whichever of its kind it is.

    A setting that does not exist takes anything: its key is told when it is composed.
    """
    places = schema.places(key)
    if any(place.field is not None and place.field.metadata.get("texts") for place in places):
        return _Takes.either  # for which omegaconf has no type
    found = {_taken_by(place.hint) for place in places}
    if len(found) == 1:
        return found.pop()
    return _Takes.other if found == {_Takes.other} else _Takes.any


def _taken_by(hint: Any) -> _Takes:
    found = schema.alternatives(hint)
    if found in ([str], [Path]):
        return _Takes.text
    if found and all(get_origin(one) is list and get_args(one) == (str,) for one in found):
        return _Takes.texts
    return _Takes.any if Any in found or str in found else _Takes.other
