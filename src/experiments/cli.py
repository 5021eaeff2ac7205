"""The command: compose, check, run, wait for the upload, and turn errors into exit statuses."""

import logging
import multiprocessing
import os
import secrets
import shutil
import sys
import time
import traceback
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments import config, discovery, journal, runner, tracking
from experiments.config import Plan
from experiments.errors import ConfigError, DivergedError, ExperimentError
from experiments.journal import Journal, Silent
from experiments.provenance import Identity
from experiments.registry import name_of
from experiments.settings import Experiment, TrackingMode
from experiments.setup import prepare
from experiments.sweep import Job, Sweep, label
from experiments.tracking import Uploader

_INTERRUPTED = 130  # 128 and the number of SIGINT


def main(root: Path) -> None:
    """Run the command line of `run.py` in the checkout `root`, and exit with its status."""
    status = command(root, sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if multiprocessing.active_children():
        sys.exit(status)  # in order, as a loader's workers have to be stopped
    os._exit(status)  # taking the interpreter down in order would cost another half second


def command(root: Path, arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit status; an error is one line on stderr."""
    with_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Without this Hydra prints errors in its own way, and exits.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    warnings.formatwarning = lambda text, *_, **__: f"warning: {text}\n"
    try:
        return _dispatch(root, get_args_parser().parse_args(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        if with_traceback:
            raise
        print(f"error: {message(error)}", file=sys.stderr)
        return error.status if isinstance(error, ExperimentError) else ExperimentError.status


def message(error: Exception) -> str:
    """Return what to tell of an error, on one line; of a surprise also where it happened."""
    text = " ".join(str(error).split())
    if isinstance(error, ExperimentError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}; HYDRA_FULL_ERROR=1 shows the traceback."


def _dispatch(root: Path, options: Namespace) -> int:
    if options.experimental_rerun or options.config_path:
        raise ConfigError("--experimental-rerun and --config-path are not supported here.")
    name = options.config_name or "config"
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    discovery.discover(root, _plugin_path(root, name, options.overrides))
    config.publish(root, run_id)
    if options.help or options.hydra_help or options.cfg or options.info:
        _hydra(root, name, lambda _: None)
        return 0
    overrides = list(options.overrides)
    if options.config_dir:
        overrides.append(f"hydra.searchpath=[file://{Path(options.config_dir).resolve()}]")
    plan = config.plan(root, name, overrides, multirun=options.multirun)
    call = Call(root, name, options.overrides, run_id, plan)
    return call.sweep() if plan.multirun else call.run()


@dataclass(frozen=True, slots=True)
class Call:
    """A checked command line, which Hydra carries out."""

    root: Path
    config_name: str
    overrides: Sequence[str]
    run_id: str
    plan: Plan

    def run(self) -> int:
        """Train once."""
        experiment = self.plan.experiment
        # What does not fit the data is found before there is a folder.
        session = prepare(experiment)
        silent = experiment.tracking.mode is TrackingMode.none
        name = experiment.tracking.name or _name(experiment)
        identity = Identity(self.run_id, None, name, self.overrides)

        errors: list[Exception] = []

        def job(_: DictConfig) -> None:
            tracker = Silent() if silent else Journal(_folder())
            try:
                runner.execute(experiment, tracker, identity, self.root, session)
            except Exception as error:  # kept from Hydra, which would print it in its own way
                errors.append(error)

        with self._uploading():
            _hydra(self.root, self.config_name, job)
        if errors:
            raise errors[0]
        return 0

    def sweep(self) -> int:
        """Train every job of a sweep; return 1 if any failed."""
        experiment, folder = self.plan.experiment, self.plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        name = experiment.tracking.name or f"sweep {' '.join(self.overrides)}"
        identity = Identity(self.run_id, None, name, self.overrides)
        with self._uploading():
            parent = Sweep(experiment, Journal(folder), identity, self.root)
            try:
                _hydra(self.root, self.config_name, self._job)
            except BaseException as error:
                parent.close("FAILED" if isinstance(error, Exception) else "KILLED")
                raise
            jobs = parent.close("FINISHED")
        if experiment.tracking.mode is TrackingMode.none:
            shutil.rmtree(folder)
        failed = [job for job in jobs if job.result.status == "failed"]
        _tell(failed, len(jobs))
        return ExperimentError.status if failed else 0

    def _job(self, cfg: DictConfig) -> float:
        """Train one job of a sweep, say in one line how it went, and return its value.

        A job that fails or diverges has the value NaN, and does not stop the others.
        """
        settings = HydraConfig.get()
        number, overrides = settings.job.num, list(settings.overrides.task)
        varied = [text for text in overrides if text.partition("=")[0] in self.plan.varied]
        name = " ".join(varied) or f"job {number}"
        identity = Identity(f"{self.run_id}.{number}", self.run_id, name, overrides)
        _quieten_console()
        started, value = time.monotonic(), float("nan")
        try:
            experiment, tracker = config.build(cfg), Journal(_folder())
            result = runner.execute(experiment, tracker, identity, self.root)
            value, outcome = result.value, f"{result.monitor} {result.value:.4f}"
        except DivergedError as error:
            outcome = f"diverged: {error}"
        except Exception as error:
            outcome = f"failed: {message(error)}"
        seconds = time.monotonic() - started
        print(f"#{number} {name}: {outcome} ({seconds:.1f} s)", flush=True)
        return value

    @contextmanager
    def _uploading(self) -> Iterator[None]:
        """Feed MLflow meanwhile; afterwards wait for it, and say where to look."""
        settings = self.plan.experiment.tracking
        if settings.mode is not TrackingMode.mlflow:
            yield
            return
        uploader = Uploader(self.plan.folder, tracking.store(settings, self.root))
        try:
            yield
        finally:
            complete = uploader.finish(settings.wait)
            if (self.plan.folder / journal.FILE).exists():
                print(*uploader.closing_lines(complete=complete), sep="\n", flush=True)


def _hydra(root: Path, name: str, job: Callable[[DictConfig], Any]) -> None:
    decorate = hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name=name)
    decorate(job)()


def _folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


def _name(experiment: Experiment) -> str:
    parts = (experiment.model, experiment.optimizer, experiment.dataset)
    return " ".join(name_of(type(part)) for part in parts)


def _plugin_path(root: Path, name: str, overrides: Sequence[str]) -> list[str]:
    """Return the folders with plugins, which must be known before anything is composed."""
    given = [text for text in overrides if text.lstrip("+").startswith("plugin_path=")]
    file = root / "conf" / f"{name}.yaml"
    found = OmegaConf.load(file) if file.exists() else OmegaConf.create()
    merged = OmegaConf.merge(found, OmegaConf.from_dotlist([text.lstrip("+") for text in given]))
    folders = OmegaConf.select(merged, "plugin_path") or []
    return [folders] if isinstance(folders, str) else list(folders)


def _quieten_console() -> None:
    """Leave a job's details to its log file; the console shows a line a job."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setLevel(logging.WARNING)


def _tell(failed: Sequence[Job], count: int) -> None:
    if failed:
        lines = [f"  {label(job)}: {job.result.reason}" for job in failed]
        print(f"error: {len(failed)} of {count} jobs failed:", *lines, sep="\n", file=sys.stderr)
