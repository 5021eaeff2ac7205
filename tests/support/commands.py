"""Command lines given in this process."""

import pytest
from composed import ROOT

from experiments.cli import main


def refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Return the exit status and the one line on stderr of a command that is refused."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    status = main.command(ROOT, arguments)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "Traceback" not in line
    assert len(line) <= 500
    return status, line
