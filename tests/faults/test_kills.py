"""Runs and uploads outlast SIGKILL at any moment: what they end with is as if it never came.

That proves safety when a process is killed, not when power is lost, as the system writes on.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def killed(program: str, folder: Path, kills: int, *more: str) -> dict[str, Any]:
    """Return the report of a program that kills so many times, or until a mutant is found."""
    command = [sys.executable, "-W", "ignore", f"{HERE / program}.py", str(folder)]
    done = subprocess.run(
        [*command, "--kills", str(kills), "--seed", "1", *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(report)
    return report


def test_a_run_that_is_killed_ends_as_if_it_never_was(
    tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    kills = rounds(150, 30)
    report = killed("killed_runs", tmp_path / "runs", kills)
    assert report["violations"] == []
    assert report["kills"] >= kills
    assert report["during"]["saving"] > 0
    assert report["during"]["evaluating"] > 0


@pytest.mark.whole
def test_an_upload_that_is_killed_ends_as_if_it_never_was(tmp_path: Path) -> None:
    report = killed("killed_uploads", tmp_path / "runs", 50)
    assert report["violations"] == []
    assert report["kills"] >= 50
    assert report["during"]["sending"] > 0


@pytest.mark.whole
@pytest.mark.parametrize(
    ("mutant", "kind"),
    [
        ("written_in_place", "checkpoint: "),
        ("generator_not_restored", "last: "),
        ("numbers_appended_again", "twice: "),
        ("history_not_replayed", "best"),
    ],
)
def test_a_mutant_of_a_run_is_found(tmp_path: Path, mutant: str, kind: str) -> None:
    more = ("--mutant", mutant, "--until", kind)
    report = killed("killed_runs", tmp_path / "runs", 100, *more)
    assert any(f": {kind}" in text for text in report["violations"]), report


@pytest.mark.whole
def test_a_mutant_of_an_upload_is_found(tmp_path: Path) -> None:
    more = ("--mutant", "new_times", "--until", "twice", "--runs", "numbers")
    report = killed("killed_uploads", tmp_path / "runs", 300, *more)
    assert any(": twice: " in text for text in report["violations"]), report
