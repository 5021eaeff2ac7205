"""What plugins may change of the process that they run in, and the way back from it."""

import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch


@contextmanager
def isolated() -> Iterator[None]:
    """Undo at the end what is done within to the state that a process has once, for all.

    Only what differs is set again: some of it takes long, or imports a compiler.
    """
    settings = [get() for get, _ in _SETTINGS]
    streams = [get() for get, _ in _STREAMS]
    try:
        # It has an end that gives back the modes of autograd, whatever they are by then.
        with torch.inference_mode(False):
            yield
    finally:
        for (get, put), value in zip(_SETTINGS, settings, strict=True):
            if value is not None and get() != value:
                put(value)
        for (_, put), value in zip(_STREAMS, streams, strict=True):
            put(value)


def _set_device(device: torch.device) -> None:
    # The processor is where tensors are made if nothing else was said, which costs no call a mode.
    torch.set_default_device(None if device.type == "cpu" else device)


def _precision() -> str | None:
    with suppress(RuntimeError):  # where a plugin has set it in torch's newer way
        return torch.get_float32_matmul_precision()
    return None


def _determinism() -> tuple[bool, bool]:
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warn_only


def _set_determinism(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _cudnn() -> tuple[bool, bool, bool]:
    own = torch.backends.cudnn
    return own.enabled, own.benchmark, own.deterministic


def _set_cudnn(value: tuple[bool, bool, bool]) -> None:
    own = torch.backends.cudnn
    own.enabled, own.benchmark, own.deterministic = value


def _autocast() -> list[bool]:
    return [torch.is_autocast_enabled(kind) for kind in _KINDS]


def _set_autocast(value: list[bool]) -> None:
    for kind, enabled in zip(_KINDS, value, strict=True):
        torch.set_autocast_enabled(kind, enabled)


def _folder() -> Path | None:
    with suppress(OSError):  # it may be gone
        return Path.cwd()
    return None


def _set_folder(folder: Path) -> None:
    with suppress(OSError):
        os.chdir(folder)


def _set_environment(value: Mapping[str, str]) -> None:
    for name in os.environ.keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _set_path(value: list[str]) -> None:
    sys.path[:] = value


def _set_output(value: tuple[TextIO, TextIO]) -> None:
    sys.stdout, sys.stderr = value


def _set_filters(value: list[Any]) -> None:
    warnings.filters[:] = value  # type: ignore[index]  # a list in truth


_KINDS = ("cpu", "cuda")  # of devices
_Pair = tuple[Callable[[], Any], Callable[[Any], object]]
_SETTINGS: list[_Pair] = [
    (torch.get_default_device, _set_device),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (_precision, torch.set_float32_matmul_precision),
    (_determinism, _set_determinism),
    (_cudnn, _set_cudnn),
    (_autocast, _set_autocast),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (_folder, _set_folder),
    (lambda: dict(os.environ), _set_environment),
    (lambda: list(sys.path), _set_path),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (sys.stdout, sys.stderr), _set_output),
    (lambda: logging.root.manager.disable, logging.disable),
    (np.geterr, lambda value: np.seterr(**value)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
]
_STREAMS: list[_Pair] = [
    (torch.get_rng_state, torch.set_rng_state),
    (np.random.get_state, np.random.set_state),
    (random.getstate, random.setstate),
]
