"""The events of a journal, and how each stands in a line of it.

An event is a JSON object with `event`, `time` (milliseconds since 1970) and its own fields:

| event      | fields                                                                            |
|------------|-----------------------------------------------------------------------------------|
| `start`    | `run_id`, `parent_id` or null, `experiment` of MLflow, `name`, `overrides`,       |
|            | `tags`, `params`, `config`                                                        |
| `metrics`  | `step`, `values`: name to number                                                  |
| `series`   | `first`, `values`: name to the numbers of the steps first, first + 1, ...         |
| `layers`   | `step`, `layers`: name of a tensor of the model, or `(all)`, to names and numbers |
| `tags`     | `values`: name to text                                                            |
| `dataset`  | `name`, `digest`, `source`, `profile` (text), `context` (`training`)              |
| `artifact` | `path` in the run's folder, `folder` of the run's artifacts to put it in          |
| `model`    | `path` of the checkpoint in the run's folder, `input_shape`, `outputs`, the       |
|            | `module` of the model's plugin, and `code`, the folder that holds its source      |
| `end`      | `status`: FINISHED, FAILED or KILLED                                              |
| `resume`   | `step` after which the run goes on, though it had ended or died                   |

Journals of other origin are read too, so that every field is checked.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from experiments.process import secrecy

Event = dict[str, Any]
Check = Callable[[Any], bool]
# The fields whose words are ours, which stay even where one is also hidden somewhere else.
_OWN = {"event", "run_id", "parent_id", "status", "path", "folder", "module", "code"}
STATUSES = ("FINISHED", "FAILED", "KILLED")
_LARGEST = 2**53  # of whole numbers: what any reader of JSON, and any store, has exactly
_DEPTH = 40  # levels of settings
_LONGEST = 250  # characters of an id
_MARKS = set("/\\%'\"`")  # that mean something in a path or in a question to a store


def is_whole(value: Any) -> bool:
    """Say whether a value counts something: steps, milliseconds, bytes."""
    return type(value) is int and 0 <= value < _LARGEST


def is_number(value: Any) -> bool:
    """Say whether a value is a number that fits into a column of a store."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def is_text(value: Any) -> bool:
    """Say whether a value is text."""
    return isinstance(value, str)


def is_id(value: Any) -> bool:
    """Say whether a value can be the id of a run."""
    if not is_text(value) or not value.isprintable() or set(value) & _MARKS:
        return False
    return 0 < len(value) <= _LONGEST


def each(check: Check) -> Check:
    """Return the check of a list's items."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def named(check: Check) -> Check:
    """Return the check of a dictionary's values."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _is_plain(value: Any, depth: int = _DEPTH) -> bool:
    """Say whether JSON is so deep at most."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_plain(part, depth - 1) for part in parts)


_ANY = {"event": is_text, "time": is_whole}
_START = {
    "run_id": is_id,
    "parent_id": lambda value: value is None or is_id(value),
    "experiment": is_text,
    "name": is_text,
    "overrides": each(is_text),
    "tags": named(is_text),
    "params": named(_is_plain),
    "config": named(_is_plain),
}
_FIELDS: Mapping[str, Mapping[str, Check]] = {
    "start": _START,
    "metrics": {"step": is_whole, "values": named(is_number)},
    "series": {"first": is_whole, "values": named(each(is_number))},
    "layers": {"step": is_whole, "layers": named(named(is_number))},
    "tags": {"values": named(is_text)},
    "dataset": dict.fromkeys(("name", "digest", "source", "profile", "context"), is_text),
    "artifact": dict.fromkeys(("path", "folder"), is_text),
    "model": {
        **dict.fromkeys(("path", "module", "code"), is_text),
        "input_shape": each(is_whole),
        "outputs": is_whole,
    },
    "end": {"status": STATUSES.__contains__},
    "resume": {"step": is_whole},
}


def fault(event: Any) -> str | None:
    """Say what of an event no run would have written, or None; events of other names may be."""
    if not isinstance(event, dict):
        return "it is no event"
    kind = event.get("event")
    fields = _FIELDS.get(kind, {}) if isinstance(kind, str) else {}
    for name, check in (*_ANY.items(), *fields.items()):
        if name not in event:
            return f"it has no {name}"
        if not check(event[name]):
            return f"its {name} cannot be {event[name]!r:.60}"
    if kind == "start" and not named(is_text)(event.get("origin", {})):
        return "its origin is none"
    return None


def encode(event: Event) -> bytes:
    """Return an event as a line."""
    text = json.dumps(event, separators=(",", ":"))
    if secrecy.is_in(text):
        told = {key: value if key in _OWN else secrecy.clean(value) for key, value in event.items()}
        text = json.dumps(told, separators=(",", ":"))
    line = text.encode()
    return b"%08x %s\n" % (zlib.crc32(line), line)


def decode(line: bytes) -> Event:
    """Return a line's event; raise ValueError where it is damaged, or none that a run writes."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("its checksum does not fit")
    try:
        event: Event = json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
    if wrong := fault(event):
        raise ValueError(wrong)
    return event
