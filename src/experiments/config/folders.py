"""Where a run may write: below the declared output folder, and nowhere else."""

import os
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from experiments.settings import Experiment, Tracking, TrackingMode
from experiments.text import shortened

_LONGEST = 250  # bytes of a file's name
# Bytes of a folder's path: systems end at 1024 or 4096, and Python makes no 1000 folders in one go.
_LONGEST_PATH = 800


def folder_problems(
    experiment: Experiment, hydra: DictConfig, *, multirun: bool, scratch: Path
) -> Iterator[str]:
    """Yield what is wrong with the folders that Hydra would make, each as one line.

    `scratch` is the folder of a sweep that keeps nothing, which goes when the sweep ends.
    """
    output = Path(experiment.output)
    if fault := _fault(output):
        yield f"output={_told(output)}: {fault}."
        return
    key = "hydra.sweep.dir" if multirun else "hydra.run.dir"
    folder = Path(hydra.sweep.dir if multirun else hydra.run.dir)
    silent = experiment.tracking.mode is TrackingMode.none
    if fault := _fault(folder):
        yield f"{key}={_told(folder)}: {fault}."
    elif silent and multirun:
        if folder.exists() or not (folder == scratch or is_below(folder, output)):
            wanted = "tracking=none removes it after the sweep; leave it as it is"
            yield f"{key}={_told(folder)}: {wanted}."
    elif not is_below(folder, output) and not (silent and _keeps_nothing(hydra, folder)):
        below = f"is not below output={_told(output)}; everything written must be"
        yield f"{key}={_told(folder)} {below}."


def tracking_problems(tracking: Tracking) -> Iterator[str]:
    """Yield what is wrong with the names that MLflow files a run under."""
    for key in ("experiment", "name"):
        text = getattr(tracking, key)
        if text is None or (text.strip() and text.isprintable() and len(text) <= _LONGEST):
            continue
        wanted = f"one printable line of at most {_LONGEST} characters"
        yield f"tracking.{key}={_told(text)}: must be {wanted}."
    # MLflow keeps an experiment's artifacts in a folder of this name.
    parts = tracking.experiment.split("/")
    long = any(len(os.fsencode(part)) > _LONGEST for part in parts)
    if long or any(part.strip() in ("", ".", "..") for part in parts) or "\\" in "".join(parts):
        told = _told(tracking.experiment)
        yield f"tracking.experiment={told}: must be usable as a folder's name."


def _keeps_nothing(hydra: DictConfig, folder: Path) -> bool:
    """Say whether Hydra makes neither a folder nor a file for a run."""
    logging = OmegaConf.to_container(hydra.job_logging, resolve=False)
    assert isinstance(logging, dict)
    users = [logging["root"] or {}, *(logging.get("loggers") or {}).values()]
    used = {name for user in users for name in user.get("handlers") or ()}
    writes = any(
        "filename" in handler and (name in used or not handler.get("delay"))
        for name, handler in (logging.get("handlers") or {}).items()
    )
    return folder.is_dir() and hydra.output_subdir is None and not writes


def is_below(folder: Path, output: Path) -> bool:
    """Say whether a folder lies in another one, where links lead to."""
    inner, outer = os.path.realpath(folder), os.path.realpath(output)
    return inner != outer and os.path.commonpath([inner, outer]) == outer


def _told(value: Path | str) -> str:
    return shortened(str(value), 150)  # so that a line still says why


def _fault(folder: Path) -> str | None:
    """Say why there can be no such folder."""
    try:
        names = [os.fsencode(part) for part in folder.parts]
    except UnicodeEncodeError:
        return "the system has no name for it"
    if any(b"\0" in name or len(name) > _LONGEST for name in names):
        return f"a name has at most {_LONGEST} bytes, none of them zero"
    if "${" in str(folder):
        return "Hydra would take ${ for a reference"
    whole = folder.absolute()
    if len(os.fsencode(whole)) > _LONGEST_PATH:
        return f"a folder's whole path has at most {_LONGEST_PATH} bytes"
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    return None if there.is_dir() else f"{_told(there)} is no folder"
