"""The command: compose, check, run, wait for the upload, and turn errors into exit statuses."""

import logging
import multiprocessing
import os
import signal
import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from experiments.api import command as api
from experiments.api.outcome import Multiple
from experiments.cli import help
from experiments.errors import ConfigError, ExperimentError, Interrupted, without_exit
from experiments.plugin.failure import explained
from experiments.process import secrecy, signals
from experiments.process.secrecy import message


def main(root: Path) -> None:
    """Run the command line of `run.py` in the checkout `root`, and exit with its status."""
    secrecy.guard_streams()
    status = command(root, sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    workers = multiprocessing.active_children()
    if not all(type(worker).__module__.startswith("multiprocessing") for worker in workers):
        sys.exit(status)  # a launcher takes its own down
    _end(workers)
    os._exit(status)  # taking the interpreter down in order would cost another half second


def _end(workers: Sequence[BaseProcess]) -> None:
    """Kill what is left of a loader's workers, which outlast the signals that end a command."""
    if workers:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch would raise that they were killed
    for worker in workers:
        worker.kill()
        worker.join()


def command(root: Path, arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit status; an error is one line on stderr."""
    secrecy.hide_environment(os.environ)
    warnings.formatwarning = lambda text, *_, **__: f"warning: {text}\n"
    logging.raiseExceptions = False  # a full disk would print a traceback for each line of the log
    try:
        options = _options(arguments)
        with signals.raised(), without_exit():
            return _dispatch(root, options)
    except Interrupted as interruption:
        print(_with_hints(str(interruption), interruption), file=sys.stderr)
        return interruption.status
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        told = explained(error)
        print(_with_hints(f"error: {message(told)}", told), file=sys.stderr)
        return told.status if isinstance(told, ExperimentError) else ExperimentError.status


def _with_hints(text: str, error: BaseException) -> str:
    return "; ".join([text, *getattr(error, "__notes__", [])])


def _options(arguments: Sequence[str]) -> Namespace:
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # it would print how to use each option
    return parser.parse_args(arguments)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; python run.py --help lists the options and settings.")


def _dispatch(root: Path, options: Namespace) -> int:
    if options.experimental_rerun or options.config_path:
        raise ConfigError("--experimental-rerun and --config-path are not supported here.")
    name = options.config_name or "config"
    if help.is_asked(options):
        help.show(root, name, options)
        return 0
    asked = api.composed(
        root, name, options.overrides, multirun=options.multirun, folder=options.config_dir
    )
    done = asked.carry_out()
    if not isinstance(done, Multiple):
        return 0
    done.close()
    return ExperimentError.status if done.failures else 0
