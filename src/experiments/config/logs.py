"""Refuse what Python's logging would make of a configuration: any object, or a file anywhere."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from experiments.errors import options
from experiments.text import shortened

_COMMON = {"class", "level", "formatter"}
HANDLERS = {
    "logging.StreamHandler": _COMMON | {"stream"},
    "logging.FileHandler": _COMMON | {"filename", "mode", "encoding", "delay"},
    "logging.NullHandler": _COMMON,
}
_LOG_FILE = re.compile(
    r"\$\{hydra[.:]runtime\.output_dir\}/([\w-]|\.(?!\.)|\$\{hydra\.job\.name\}){1,60}\.log"
)
_LEVELS = {"CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET"}
_STREAMS = {"ext://sys.stdout", "ext://sys.stderr"}
_SECTIONS = {"formatters", "handlers", "loggers", "root", "version", "disable_existing_loggers"}


def logging_dangers(section: Mapping[str, Any], key: str) -> Iterator[str]:
    """Yield what is wrong with a configuration of Python's logging: it could make any object."""
    for name in section.keys() - _SECTIONS:
        yield f"{key}.{name}: {options(str(name), _SECTIONS)}"
    if section.get("version") != 1 or "root" not in section:
        yield f"{key}: it needs version=1, and a root."
    kinds = {kind: section.get(kind) or {} for kind in ("formatters", "handlers", "loggers")}
    if not all(isinstance(entries, dict) for entries in kinds.values()):
        yield f"{key}: its formatters, handlers and loggers must be mappings."
        return
    checks: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
        "formatters": _formatter,
        "handlers": partial(_handler, formatters=kinds["formatters"]),
        "loggers": partial(_logger, handlers=kinds["handlers"]),
    }
    if section["root"] is not None:
        kinds["loggers"] = {**kinds["loggers"], "root": section["root"]}
    for kind, entries in kinds.items():
        for name, entry in entries.items():
            if problem := checks[kind](entry) if isinstance(entry, dict) else "no mapping":
                yield f"{key}.{kind}.{name}: {problem}"


def is_names(value: Any) -> bool:
    """Say whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _formatter(entry: Mapping[str, Any]) -> str | None:
    style, allowed = entry.get("style", "%"), {"format", "datefmt", "style", "class"}
    if entry.get("class", "logging.Formatter") != "logging.Formatter":
        return f"class={entry['class']} might run code. Allowed: logging.Formatter."
    if wrong := entry.keys() - allowed or ({"style"} if style not in ("%", "$") else set()):
        return f"{min(wrong)}={entry[min(wrong)]}: {options(min(wrong), allowed)}"
    try:
        record = logging.makeLogRecord({"msg": "a message"})
        logging.Formatter(entry.get("format"), entry.get("datefmt"), style).format(record)
    except (KeyError, ValueError, TypeError) as error:
        return f"format={entry.get('format')}: {type(error).__name__} {error}"
    return None


def _handler(entry: Mapping[str, Any], formatters: Mapping[str, Any]) -> str | None:
    cls, file = str(entry.get("class")), str(entry.get("filename"))
    if cls not in HANDLERS:
        return f"class={cls} might run code. {options(cls, HANDLERS)}"
    if wrong := entry.keys() - HANDLERS[cls]:
        return f"{min(wrong, key=str)}: {options(str(min(wrong, key=str)), HANDLERS[cls])}"
    if cls == "logging.FileHandler" and not _LOG_FILE.fullmatch(file):
        return f"filename={shortened(file, 99)}: must be ${{hydra.runtime.output_dir}}/NAME.log."
    given: dict[str, tuple[Any, set[Any]]] = {
        "level": (str(entry.get("level") or "INFO"), _LEVELS),
        "formatter": (entry.get("formatter"), {None, *formatters}),
        "stream": (entry.get("stream"), {None, *_STREAMS}),
        "mode": (entry.get("mode", "a"), {"a", "w"}),
        "encoding": (entry.get("encoding"), {None, "utf-8"}),
        "delay": (entry.get("delay", False), {True, False}),
    }
    return _not_allowed(given)


def _logger(entry: Mapping[str, Any], handlers: Mapping[str, Any]) -> str | None:
    if wrong := entry.keys() - {"level", "handlers", "propagate"}:
        return f"{min(wrong, key=str)}: Allowed: handlers, level, propagate."
    named = entry.get("handlers") or []
    if not is_names(named) or set(named) - handlers.keys():
        return f"handlers={named}: {options(str(named), handlers)}"
    return _not_allowed({"level": (str(entry.get("level") or "INFO"), _LEVELS)})


def _not_allowed(given: Mapping[str, tuple[Any, set[Any]]]) -> str | None:
    """Say which of some values is none of those that it may be."""
    for name, (value, allowed) in given.items():
        if isinstance(value, (dict, list)) or value not in allowed:
            return f"{name}={value}: {options(str(value), map(str, allowed - {None}))}"
    return None
