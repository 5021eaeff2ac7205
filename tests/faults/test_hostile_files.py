"""Rows of a file with jobs: they say no more than the values of a command line may."""

import json
import os
from pathlib import Path

import pytest
import refusals

QUICK = ["max_steps=1", "tracking=offline", "dataset=synthetic", "model=linear"]
SHARED = "jobs of a sweep cannot differ in this"
# A setting, its value, and what its refusal says.
ROWS = [
    ("hydra.sweep.dir", "{place}/elsewhere", SHARED),
    ("hydra.run.dir", "{place}/elsewhere", SHARED),
    ("++hydra.sweep.subdir", "../../elsewhere", SHARED),
    ("+hydra.callbacks.x._target_", "harm.call", SHARED),
    ("hydra/launcher", "basic", SHARED),
    ("hydra.job_logging.handlers.file.filename", "{place}/elsewhere", SHARED),
    ("output", "{place}/elsewhere", SHARED),
    ("plugin_path", "[{place}]", SHARED),
    ("tracking.uri", "http://localhost:9", SHARED),
    ("tracking", "none", SHARED),
    ("repeats", "2", SHARED),
    ("sweep.file", "{place}/secret", SHARED),
    ("model", "../../../../../../../../..{place}/preset", SHARED),
    ("+_target_", "harm.call", SHARED),
    ("lanes", "{place}/secret", "There is no setting lanes"),
    ("+lanes", "{place}/secret", "There is no setting lanes"),
    ("+model._target_", "harm.call", "model._target_=harm.call: it could run code"),
    ("+tracking.x", "1", SHARED),
    ("tracking.name", "'http://me:hunter22@host'", "an address with a password"),
]


@pytest.mark.parametrize(("key", "value", "told"), refusals.some(ROWS, 3))
@pytest.mark.parametrize("place_of_it", [0, 1])
def test_a_row_is_refused_as_a_command_line_is(
    key: str,
    value: str,
    told: str,
    place_of_it: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "preset.yaml").write_text("# @package _global_\noutput: /\n")
    rows: list[dict[str, object]] = [{"seed": 1}, {"seed": 2}]
    rows[place_of_it][key] = value.replace("{place}", str(tmp_path))
    (tmp_path / "jobs.yaml").write_text(json.dumps(rows))
    before = sorted(tmp_path.rglob("*"))
    arguments = ["-m", "sweep.file=jobs.yaml", f"output={tmp_path}/out", *QUICK]
    assert told in refusals.refusal(arguments, capsys, monkeypatch)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("setting", ["output=a,b", "tracking.uri=a,b"])
def test_a_swept_value_is_refused_in_the_same_words(
    setting: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for sweeper in ([], ["hydra/sweeper=optuna"]):
        assert SHARED in refusals.refusal(["-m", setting, *sweeper, *QUICK], capsys, monkeypatch)


def test_a_pipe_is_no_file_with_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    line = refusals.refusal(["-m", f"sweep.file={tmp_path}/pipe.csv", *QUICK], capsys, monkeypatch)
    assert "is no file" in line
