"""Keep secrets out of all that is written and printed.

A secret is a value that is replaced by what stands for it, such as `${oc.env:TOKEN}`. Where there
is none, and mostly there is none, looking for them costs one test of an empty dictionary.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, unquote

from experiments.errors import ExperimentError
from experiments.text import shortened

_SHORTEST = 4  # characters: a shorter value would be found in half of all words
_LONGEST_NUMBER = 11  # digits and a point: a longer number may be a key, a shorter one is a setting
_WORDS = {"true", "false", "null", "none"}
_NAMES = re.compile(
    r"TOKEN|PASSW|SECRET|CREDENTIAL|(API|ACCESS|PRIVATE|ACCOUNT)_?KEY", re.IGNORECASE
)
# The second form takes the slashes of a password that nobody escaped.
_USER_INFO = re.compile(r"(?<=://)(?:[^/?#\s]*|[^:/?#\s]*:[^@\s]*)@")
_QUERY = re.compile(
    r"([?&;][^=&;#]*(?:pass|pwd|token|secret|key|cred|odbc_connect)[^=&;#]*=)[^&;#\s]+",
    re.IGNORECASE,
)

_shown: dict[str, str] = {}  # what is hidden, the longest first, to what stands for it


def without_password(uri: str) -> str:
    """Return a URI of any scheme with `***` for its user info and for passwords in its query."""
    return _QUERY.sub(r"\1***", _USER_INFO.sub("***@", uri))


def has_password(uri: str) -> bool:
    """Say whether a URI holds user info or a password."""
    return without_password(uri) != uri


def hide(value: str, shown: str = "***") -> None:
    """Replace a value by `shown` from now on, wherever it is written or printed.

    What is no secret stays as it is: a few characters, a short number, a path that exists.
    """
    if len(value) < _SHORTEST or _is_setting(value):
        return
    escaped, quoted = json.dumps(value)[1:-1], quote(value, safe="", errors="replace")
    for form in {value, escaped, json.dumps(value, ensure_ascii=False)[1:-1], quoted}:
        _shown[form] = shown
    longest_first = sorted(_shown.items(), key=lambda item: -len(item[0]))
    _shown.clear()
    _shown.update(longest_first)
    logging.setLogRecordFactory(_Record)


def hide_uri(uri: str) -> None:
    """Hide what a URI has of passwords, and the URI as a whole where it is printed."""
    if not has_password(uri):
        return
    hide(uri, without_password(uri))
    for found in _USER_INFO.findall(uri):
        _, _, password = found.removesuffix("@").partition(":")
        hide(found, "***@")
        hide(password or found.removesuffix("@"))
        hide(unquote(password))
    for match in _QUERY.finditer(uri):
        hide(match.group().removeprefix(match.group(1)))


def hide_environment(environment: Mapping[str, str]) -> None:
    """Hide the variables whose names say that they hold a secret, and passwords in URIs."""
    for name, value in environment.items():
        if _NAMES.search(name):
            hide(value)
        elif "://" in value:
            hide_uri(value)


def clean(value: Any) -> Any:
    """Return text, or plain data with text in it, with all that is hidden replaced."""
    if not _shown:
        return value
    if isinstance(value, str):
        for secret, shown in _shown.items():
            if secret in value:
                value = value.replace(secret, shown)
        return value
    if isinstance(value, Mapping):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return _shown.get(str(value), value) if isinstance(value, int) else value


def is_in(text: str) -> bool:
    """Say whether text holds anything that is hidden."""
    return any(secret in text for secret in _shown) if _shown else False


def message(error: Exception) -> str:
    """Return what to tell of an error, on one line; of a surprise also where it happened."""
    text = clean(str(error))
    if isinstance(error, ExperimentError):
        return shortened(text)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    told = f"{type(error).__name__}: {shortened(text, 240)}{where}"
    return f"{told}; HYDRA_FULL_ERROR=1 shows the traceback."


def guard_streams() -> None:
    """Clean whatever this process prints from now on, and escape what its encoding has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = _Guarded(sys.stdout), _Guarded(sys.stderr)


class _Guarded:
    """A stream that cleans what is written to it, and is the stream in everything else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(clean(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self._stream.writelines(map(clean, lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Record(logging.LogRecord):
    """A record of the log whose message and traceback are clean."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.exc_info and self.exc_info[0] is not None:
            self.exc_text = clean(logging.Formatter().formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802  # the library's name
        return str(clean(super().getMessage()))


def _is_setting(value: str) -> bool:
    """Say whether a value is a short number, a truth value or a path that exists: no secret."""
    if value.casefold() in _WORDS:
        return True
    try:
        float(value)
    except ValueError:
        return os.sep in value and "\0" not in value and Path(value).exists()
    return len(value) <= _LONGEST_NUMBER
