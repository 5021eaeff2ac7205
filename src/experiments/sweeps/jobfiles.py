"""The files of a job that trains in a group: those that Hydra makes of a job of its own."""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf

from experiments.plugin.description import to_yaml


class Template:
    """What the jobs of a group have in common, of which each job's files are made."""

    def __init__(self, cfg: DictConfig, hydra: Any) -> None:
        self.plain: Any = OmegaConf.to_container(cfg, resolve=False, enum_to_str=True)
        self._hydra: Any = OmegaConf.to_container(hydra, resolve=False, enum_to_str=True)
        own = hydra.hydra
        self._subfolder = own.output_subdir
        self._name = f"{own.job.name}.log"
        self._format = _format_of(self._hydra)

    def write(
        self, folder: Path, number: int, overrides: Sequence[str], numbers: Mapping[str, float]
    ) -> None:
        """Make a job's folder, with its configuration in the files that Hydra would write."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._subfolder is None:
            return
        inner = folder / self._subfolder
        inner.mkdir(exist_ok=True)
        own, hydra = copy.deepcopy(self.plain), copy.deepcopy(self._hydra)
        for key, value in numbers.items():
            owner, *path = own, *key.split(".")
            for name in path[:-1]:
                owner = owner[name]
            owner[path[-1]] = value
        settings = hydra["hydra"]
        settings["overrides"]["task"] = list(overrides)
        settings["job"] |= {"num": number, "id": number}
        settings["job"]["override_dirname"] = ",".join(filter_overrides(overrides))
        settings["runtime"]["output_dir"] = str(folder.resolve())
        settings["sweep"]["subdir"] = folder.name
        texts = {"config": own, "hydra": hydra, "overrides": list(overrides)}
        for name, content in texts.items():
            (inner / f"{name}.yaml").write_text(to_yaml(content), encoding="utf-8")

    def logger(self, folder: Path) -> logging.Logger:
        """Return the log of a job, whose file it writes when it is flushed."""
        logger = logging.Logger(folder.name)
        handler = _Lines(folder / self._name)
        handler.setFormatter(self._format)
        logger.addHandler(handler)
        return logger


class _Lines(logging.Handler):
    """Holds lines until it is flushed: as many files as a sweep has jobs are not to be open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{self.format(record)}\n")

    def flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)


def quieten_console() -> None:
    """Leave a job's details to its log file; the console shows a line a job."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)


def _format_of(hydra: Any) -> logging.Formatter:
    """Return the format of the file that Hydra's configuration of logging has."""
    section = hydra["hydra"]["job_logging"]
    handlers = section.get("handlers") or {}
    named = [h.get("formatter") for h in handlers.values() if "filename" in h]
    formatters = section.get("formatters") or {}
    entry = formatters.get(named[0], {}) if named else {}
    return logging.Formatter(entry.get("format"), entry.get("datefmt"), entry.get("style", "%"))
