"""What plugins do wrong: which one it was, where an error of it comes from, what it returned."""

import errno
import linecache
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from experiments.errors import (
    ConfigError,
    ExperimentError,
    FullError,
    StorageError,
    is_out_of_memory,
)
from experiments.plugin import registry
from experiments.plugin.kinds import Plugin
from experiments.text import shortened

_STORAGE = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_OWN = __name__.partition(".")[0]
# In what torch says of `.item()`, an `if`, `tensor[mask]` and `.numpy()` within vmap.
_VALUES = ("calling .item()", "data-dependent control flow", "dynamic shape", "have storage")
_SAID, _CODE = 200, 80  # characters of an error's text and of a line of code that are shown


class Origin(NamedTuple):
    """A line that an error came through: `plugin` is such as "loss=mine", or empty if unknown."""

    plugin: str
    file: str
    number: int
    code: str

    def __str__(self) -> str:
        code = f": `{shortened(self.code, _CODE)}`" if self.code else ""
        return f"{self.file}:{self.number}{code}"


def explained(error: Exception) -> Exception:
    """Return an error whose cause the user can mend, of the system or a plugin, as one that tells
    it; any other as it is.
    """
    if isinstance(error, ExperimentError):
        return error
    place = place_of(error)
    if isinstance(error, OSError) and error.errno in _STORAGE | (set() if place else _FORBIDDEN):
        where = error.filename or "The run's folder"
        kind = FullError if error.errno in _STORAGE else StorageError
        return kind(f"{where} cannot be written: {error.strerror}.")
    if is_out_of_memory(error):
        text = shortened(str(error), _SAID)
        return ExperimentError(f"Out of memory; a smaller batch_size needs less. ({text})")
    return error if place is None else ExperimentError(f"{place.plugin or 'plugin'}: {told(error)}")


def told(error: BaseException, module: str = "") -> str:
    """Return an error's type and text, and its place where that is in a plugin, or in `module`."""
    said, place = shortened(str(error), _SAID), place_of(error, module)
    return f"{type(error).__name__}{f': {said}' if said else ''}{f' ({place})' if place else ''}"


def reason(error: BaseException) -> str:
    """Return what an error says; of one that a plugin did not raise on purpose also its place."""
    place = place_of(error)
    if place is None or place.code.startswith("raise"):
        return shortened(str(error)) or type(error).__name__
    return told(error)


def refuse(plugin: Plugin, method: str, wanted: str, found: str) -> NoReturn:
    """Raise ConfigError that says what was wanted of a plugin's method, and what came."""
    cls = type(plugin)
    told = f"{_names().get(cls, cls.__name__)} ({_shown(registry.source(cls))})"
    raise ConfigError(f"{told}: expected of {method}() {wanted}, found {found}.")


def outline(value: Any) -> str:
    """Say in some words what a value is, a tensor by its shape and dtype."""
    kind = type(value).__name__
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {kind.lower()} of shape {[*value.shape]} and dtype {dtype}"
    if isinstance(value, tuple | list | dict):
        return f"a {kind} of {len(value)}"
    if value is None or isinstance(value, bool | int | float | str):
        return shortened(repr(value), _CODE)
    return f"a {kind}"


def lane_obstacle(error: BaseException) -> str | None:
    """Say which plugin's line cannot be done in lanes; None where an error is of no such line."""
    valued = needs_values(error)
    place = place_of(error, anywhere=valued)
    if place is None:
        return None
    said = f"{type(error).__name__}: {shortened(str(error), _SAID)}"
    cause = "it needs a tensor's value" if valued else said
    return f"{place.plugin or place.file} cannot train in lanes: {cause} ({place})"


def needs_values(error: BaseException) -> bool:
    """Say whether an error is of a tensor's values being asked for where it stands for lanes'."""
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _VALUES)


def place_of(error: BaseException, module: str = "", *, anywhere: bool = False) -> Origin | None:
    """Return the innermost line of a plugin's code that an error came through, or None.

    The line may be of what the plugin's package has beside it, or of the package of `module`; with
    `anywhere` of any library but torch, where it is of none of these.
    """
    lines = list(traceback.walk_tb(error.__traceback__))[::-1]  # the innermost first
    tops = {_top(name) for name in (module, *(cls.__module__ for cls in _names()))} - {_OWN, ""}
    found = [place for place, (frame, _) in enumerate(lines) if _top(_module(frame)) in tops]
    if anywhere and not found:
        foreign = (n for n, (f, _) in enumerate(lines) if _top(_module(f)) not in {_OWN, "torch"})
        found = [*foreign]
    if not found:
        return None
    frame, number = lines[found[0]]
    file = frame.f_code.co_filename
    code = linecache.getline(file, number, frame.f_globals).strip()
    return Origin(_owner(frame for frame, _ in lines[found[0] :]), _shown(file), number, code)


def _owner(frames: Iterator[FrameType]) -> str:
    """Name the plugin whose code runs in a frame, or that has called it; the innermost first."""
    names = _names()
    for frame in frames:
        if _top(_module(frame)) == _OWN:
            break
        if name := names.get(type(frame.f_locals.get("self"))):
            return name
        beside = [name for cls, name in names.items() if cls.__module__ == _module(frame)]
        if len(beside) == 1:
            return beside[0]
    return ""


def _names() -> dict[type, str]:
    """Return what every registered class is called."""
    every: dict[type[Plugin], str] = {}
    for kind in registry.KINDS:
        every |= {cls: f"{kind}={name}" for name, cls in registry.plugins(kind).items()}
    return every


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _shown(file: str) -> str:
    path = Path(file)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else file
