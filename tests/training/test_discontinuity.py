"""A run that goes on under other settings says which scheduled numbers jump."""

import math
from pathlib import Path

import pytest
from composed import ROOT, SMALL

from experiments.api import script
from experiments.runs.folder import Folder

LINES = [
    *SMALL,
    "tracking=offline",
    "tracking.figures=false",
    "tracking.model=false",
    "log_every=3",
]


def _gone_on(tmp_path: Path, first: list[str], then: list[str]) -> str:
    """Return what the journal says of jumps when a run of 4 epochs goes on."""
    output = f"output={tmp_path}"
    run = script.run(*LINES, output, "epochs=4", "optimizer.lr=0.1", *first, root=ROOT)
    assert run.folder is not None
    script.run(f"resume={run.folder}", "resume_changed=true", output, *then, root=ROOT)
    tags = [event["values"] for event in Folder(run.folder).events() if event["event"] == "tags"]
    return next((own["resumed.jumps"] for own in tags if "resumed.jumps" in own), "")


def _cosine(t: int, steps: int) -> float:
    return 0.1 * (1 + math.cos(math.pi * (t - 1) / steps)) / 2


@pytest.mark.parametrize("end", ["epochs=8", "epochs=8 max_steps=12"])
def test_more_steps_under_a_schedule_are_told_in_one_line(
    tmp_path: Path, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _gone_on(tmp_path, ["schedule=cosine"], end.split())
    steps = 12 if "max_steps" in end else 16
    wanted = f"lr jumps at step 8 from {_cosine(8, 8):.4g} to {_cosine(8, steps):.4g}"
    assert told == wanted
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "jumps" in line]
    assert line.startswith(f"{wanted} (epochs: 4 then, 8 now")


@pytest.mark.whole
def test_another_schedule_or_warm_up_is_told(tmp_path: Path) -> None:
    first = ["schedule=constant", "schedule.warmup=1"]
    told = _gone_on(tmp_path / "a", first, ["schedule.warmup=8", "epochs=9"])
    assert told == "lr jumps at step 8 from 0.1 to 0.05"
    first = ["optimizer=momentum", "+schedule@schedules.momentum=cosine"]
    told = _gone_on(tmp_path / "b", first, ["epochs=8"])
    assert told.startswith("momentum jumps at step 8 from ")


@pytest.mark.whole
def test_what_goes_on_as_it_was_jumps_nowhere(tmp_path: Path) -> None:
    assert _gone_on(tmp_path / "a", [], ["epochs=6"]) == ""
    assert _gone_on(tmp_path / "b", ["schedule=cosine"], ["epochs=4", "evaluate.every=2"]) == ""
