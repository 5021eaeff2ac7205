"""Command lines that must be refused: exit status 2, one line on stderr, nothing made."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import main

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 500  # characters of the line


def some(cases: Sequence[Any], every: int) -> list[Any]:
    """Return cases for a parameter, of which a run that is not of the whole list takes a few."""
    marked = []
    for number, case in enumerate(cases):
        values = case if isinstance(case, tuple) else (case,)
        marks = [pytest.mark.whole] if number % every else []
        marked.append(pytest.param(*values, marks=marks, id=str(values[0])[:99]))
    return marked


def judged(status: int, told: str) -> str:
    """Return the line of a refusal, after a look whether it is one."""
    assert status == 2, (status, told[:2000])
    assert told.count("\n") == 1 and told.endswith("\n"), told[:2000]
    assert "Traceback" not in told
    assert len(told) <= LONGEST, told
    return told


def refusal(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the line of a command, given in this process, that must be refused."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    status = main.command(ROOT, list(arguments))
    return judged(status, capsys.readouterr().err)


def process(
    *arguments: str, variables: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[bytes]":
    """Run the program as a process of its own."""
    environment = {**os.environ, "HYDRA_FULL_ERROR": "0", **(variables or {})}
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, check=False, timeout=120
    )
