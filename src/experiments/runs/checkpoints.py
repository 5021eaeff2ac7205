"""A run's checkpoints in its folder: the last, the one before it, and the best.

They are written beside the training, in a thread of their own, where no process is forked that
might inherit what the thread holds.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from experiments import tensorfile
from experiments.errors import DataError
from experiments.plugin.spec import Interval, Tensors
from experiments.settings import Checkpoint

FOLDER = "checkpoints"
BEST, LAST, PREVIOUS = (f"{name}.safetensors" for name in ("best", "last", "previous"))
_WRITERS = 16  # checkpoints written beside each other, whose waits for the disk overlap
# What going on needs to know, beside the tensors.
_FACTS = {"step": int, "position": int, "seconds": float, "channels_last": bool}
Content = tuple[Tensors, dict[str, Any]]


def is_due(
    settings: Checkpoint, epoch: int, t: int, kept: int, moment: float, least: float = 0.0
) -> bool:
    """Say whether it is time to keep a run after step `t` that was kept at another `moment`.

    `epoch` is the number of its steps; `least` seconds have to pass in any case of minutes.
    """
    if settings.unit is Interval.minute:
        return time.monotonic() - moment >= max(60 * settings.every, least)
    unit = 1 if settings.unit is Interval.step else epoch
    length = max(1, round(settings.every * unit))
    return t // length > kept // length


class Keeper:
    """Writes checkpoints in the order they come, each the newest of its name; `beside` training.

    `sync` is called before each: what a checkpoint refers to has to be on the disk first.
    """

    def __init__(self, folder: Path, sync: Callable[[], None], *, beside: bool) -> None:
        self._folder, self._sync, self._beside = folder / FOLDER, sync, beside
        self._folder.mkdir(exist_ok=True)
        (self._folder / "probe.part").touch()  # fails now, before the first step, or not at all
        for part in self._folder.glob("*.part"):  # the probe, and those of processes killed
            part.unlink()
        if self._new.exists():
            self._replace()
        self._waiting: dict[str, Content] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def keep(self, name: str, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """Write a copy of the tensors as they are now; raise what stopped an earlier writing."""
        self._raise()
        copies = {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()}
        with self._lock:
            self._waiting.pop(name, None)  # a newer one of the same name comes last
            self._waiting[name] = copies, facts
            running = self._thread is not None
            if not running:
                self._thread = threading.Thread(target=self._write_all, daemon=True)
        if not running:
            assert self._thread is not None
            self._thread.start()
        if not self._beside:
            self.finish()

    def finish(self) -> None:
        """Wait until everything is written; raise what stopped it."""
        thread = self._thread
        if thread is not None:
            thread.join()
        self._raise()

    def _write_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                name = next(iter(self._waiting))
                tensors, facts = self._waiting.pop(name)
            try:
                self._write(name, tensors, facts)
            except Exception as error:  # raised where the run meets its keeper next
                self._error = error

    def _write(self, name: str, tensors: Tensors, facts: dict[str, Any]) -> None:
        self._sync()
        path = self._folder / name
        if name != LAST or not path.exists():
            tensorfile.save(path, tensors, facts)
            return
        # There is a whole file at every moment: the new one is complete before the others move.
        tensorfile.save(self._new, tensors, facts)
        self._replace()

    @property
    def _new(self) -> Path:
        return self._folder / f"new-{LAST}"

    def _replace(self) -> None:
        """Make the last checkpoint the previous one, and the new one the last."""
        last = self._folder / LAST
        if last.exists():
            last.replace(self._folder / PREVIOUS)
        self._new.replace(last)

    def _raise(self) -> None:
        if self._error is not None:
            stopped, self._error = self._error, None
            raise stopped


def keep(
    name: str, contents: Iterable[tuple[int, Keeper, Content]], *, wait: bool
) -> dict[int, Exception]:
    """Write a checkpoint of each run, some beside each other; return what stopped any, by place."""
    failed: dict[int, Exception] = {}
    writing: list[tuple[int, Keeper]] = []
    for place, keeper, content in contents:
        try:
            keeper.keep(name, *content)
        except Exception as error:
            failed[place] = error
            continue
        writing.append((place, keeper))
        if wait and len(writing) == _WRITERS:
            failed |= finish(writing[:1])
            del writing[0]
    return failed | finish(writing) if wait else failed


def finish(keepers: Iterable[tuple[int, Keeper]]) -> dict[int, Exception]:
    """Wait until everything is written; return what stopped any of it, by place."""
    failed: dict[int, Exception] = {}
    for place, keeper in keepers:
        try:
            keeper.finish()
        except Exception as error:
            failed[place] = error
    return failed


def newest(folder: Path, run_id: str, position: int) -> Content | None:
    """Return a run's newest checkpoint that loads; None where it has none.

    One that refers to more than the first `position` bytes of the journal is left out. Warns of
    one that is damaged; raises DataError where all are.
    """
    found: list[Content] = []
    wrong: list[DataError] = []
    for path in sorted((folder / FOLDER).glob("*.safetensors")):
        if path.name == BEST:
            continue
        try:
            content = tensorfile.load(path)
            _check(path, content[1], run_id)
        except DataError as error:
            wrong.append(error)
        else:
            found.append(content)
    if wrong and not found:
        raise wrong[0]
    for damage in wrong:
        warnings.warn(f"{damage} Another one is used.", stacklevel=2)
    known = [content for content in found if content[1]["position"] <= position]
    return max(known, key=lambda content: content[1]["step"], default=None)


def _check(path: Path, facts: Mapping[str, Any], run_id: str) -> None:
    """Raise DataError where a checkpoint's facts are not those of a run that can go on."""
    if facts.get("run_id") != run_id:
        raise DataError(f"{path} is of another run.")
    for name, kind in _FACTS.items():
        if type(facts.get(name)) is not kind:
            found = type(facts.get(name)).__name__
            raise DataError(f"{path}: its {name} must be of type {kind.__name__}, and is {found}.")
