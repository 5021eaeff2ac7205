"""What is changed of the process within is as it was before, whatever ended it."""

import gc
import io
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.process.isolation import isolated

CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "gradients": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "inference": (
        torch.is_inference_mode_enabled,
        lambda: (KEPT.append(torch.inference_mode()), KEPT[-1].__enter__()),
    ),
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(2)),
    "precision": (
        torch.get_float32_matmul_precision,
        lambda: torch.set_float32_matmul_precision("medium"),
    ),
    "determinism": (
        torch.are_deterministic_algorithms_enabled,
        lambda: torch.use_deterministic_algorithms(True),
    ),
    "cudnn": (
        lambda: torch.backends.cudnn.benchmark,
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
    ),
    "autocast": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda: torch.set_autocast_enabled("cpu", True),
    ),
    "anomalies": (torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    "folder": (Path.cwd, lambda: os.chdir("/")),
    "environment": (
        lambda: (os.environ.get("ADDED"), os.environ["PATH"]),
        lambda: os.environ.update(ADDED="1", PATH=""),
    ),
    "path": (lambda: list(sys.path), lambda: sys.path.insert(0, "/")),
    "warnings": (lambda: list(warnings.filters), lambda: warnings.simplefilter("ignore")),
    "output": (lambda: sys.stdout, lambda: setattr(sys, "stdout", io.StringIO())),
    "logging": (lambda: logging.root.manager.disable, lambda: logging.disable(logging.ERROR)),
    "NumPy's errors": (np.geterr, lambda: np.seterr(all="ignore")),
    "recursion": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(5000)),
    "garbage": (gc.isenabled, gc.disable),
    "torch's numbers": (lambda: torch.get_rng_state().tolist(), lambda: torch.rand(1)),
    "NumPy's numbers": (lambda: np.random.get_state()[2], lambda: np.random.rand(1)),
    "Python's numbers": (random.getstate, random.random),
}
KEPT: list[Any] = []


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_undone(name: str) -> None:
    get, change = CHANGES[name]
    before = get()
    with isolated():
        change()
        assert get() != before
    assert get() == before
    KEPT.clear()
    assert get() == before


def test_everything_is_undone_after_an_error() -> None:
    before = {name: get() for name, (get, _) in CHANGES.items()}

    @isolated()
    def fail() -> None:
        for name in CHANGES.keys() - {"device"}:
            CHANGES[name][1]()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert {name: get() for name, (get, _) in CHANGES.items()} == before


def test_what_was_chosen_before_stays() -> None:
    with isolated():
        torch.set_default_device("meta")
        torch.set_default_dtype(torch.float64)
        with isolated():
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float16)
        assert torch.empty(1).device.type == "meta"
        assert torch.get_default_dtype() is torch.float64
    assert torch.empty(1).device.type == "cpu"


def test_a_run_within_no_grad_computes_gradients() -> None:
    with torch.no_grad():
        with isolated():
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()


def test_a_folder_that_is_gone_and_precisions_of_torchs_newer_way_do_no_harm(
    tmp_path: Path,
) -> None:
    with isolated():
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        with isolated():
            os.chdir(tmp_path)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with isolated():
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    assert torch.backends.mkldnn.matmul.fp32_precision in (before, "ieee")
