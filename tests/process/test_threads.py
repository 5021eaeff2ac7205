"""Threads that wait for each other let go of the processor, unless the environment says how."""

import subprocess
import sys

import pytest

from experiments.process import threads


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_the_environment_decides_first(
    given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = dict(given)
    monkeypatch.setattr("experiments.process.threads.os.environ", environment)
    threads.wait_briefly()
    assert environment.get("GOMP_SPINCOUNT") == expected


@pytest.mark.process
def test_it_is_set_before_torch_is_there() -> None:
    code = "import sys, experiments.process.threads; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
