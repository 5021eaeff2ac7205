"""A run on disk: what its folder says, whole, cut off or taken from elsewhere."""

from pathlib import Path

import pytest

from experiments.errors import ConfigError
from experiments.runs.folder import Folder, all_below, runs_in
from experiments.runs.journal import Journal
from experiments.runs.result import FILE, NONE, Result, Status

DONE = Result(
    status=Status.finished, reason="epochs=1", monitor="val/loss", metrics={"best/val/loss": 0.5}
)


def made(path: Path, end: str | None = "FINISHED", result: Result | None = DONE) -> Folder:
    """Make a run with a few numbers."""
    path.mkdir(parents=True)
    with_numbers = Journal(path)
    with_numbers.add(
        "start", run_id=path.name, parent_id=None, experiment="e", name="n", overrides=[], tags={},
        params={}, config={"epochs": 1, "model": {"plugin": "model/a"}},
    )  # fmt: skip
    with_numbers.series(1, {"train/loss": [3.0, 2.0]})
    with_numbers.metrics(2, {"val/loss": 0.5})
    if end is not None:
        with_numbers.add("end", status=end)
    with_numbers.close()
    if result is not None:
        (path / FILE).write_text(result.to_json())
    return Folder(path)


def test_a_run_says_what_it_is_and_how_it_went(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    assert folder.exists
    assert not folder.is_held
    assert (folder.status, folder.end, folder.result) == (Status.finished, "FINISHED", DONE)
    assert folder.settings == {"epochs": 1, "model": "a"}
    assert folder.series("train/loss") == [(1, 3.0), (2, 2.0)]
    assert folder.series("val/loss") == [(2, 0.5)]
    assert folder.series("nothing") == []


@pytest.mark.parametrize("status", list(Status))
def test_a_result_comes_back_as_it_was(status: Status, tmp_path: Path) -> None:
    result = Result(status=status, reason="so", step=3, seconds=1.5, metrics={"a": 0.25})
    folder = made(tmp_path / "a", result=result)
    assert folder.result == result
    assert folder.status is status


@pytest.mark.parametrize("end", [None, "KILLED"])
def test_a_run_without_an_end_is_unfinished(end: str | None, tmp_path: Path) -> None:
    assert made(tmp_path / "a", end=end).status is Status.unfinished


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"status": "sleeping", "reason": ""}'])
def test_a_result_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "a", result=None)
    (folder.path / FILE).write_text(text)
    assert folder.result == NONE


def test_a_run_that_goes_on_has_no_end_yet(tmp_path: Path) -> None:
    folder = made(tmp_path / "a")
    with_more = Journal(folder.path, resume=True)
    with_more.add("resume", step=2)
    assert (folder.is_held, folder.end, folder.status) == (True, None, Status.unfinished)
    with_more.close()


def test_a_job_may_stand_for_a_run_elsewhere(tmp_path: Path) -> None:
    there, job = made(tmp_path / "there"), Folder(tmp_path / "sweep" / "0")
    assert job.source == job
    job.reuse(there, "sweep.0", ["seed=1"])
    assert not job.exists
    assert job.source.result == DONE
    assert (job.job["run_id"], job.job["overrides"]) == ("sweep.0", ["seed=1"])


def test_all_runs_below_are_found_and_copies_in_a_store_are_none(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "sweep" / "0", tmp_path / "sweep" / "1"]
    for path in [*paths, tmp_path / "mlartifacts" / "copy"]:
        made(path)
    assert [folder.path for folder in all_below(tmp_path)] == paths
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "journal.jsonl").touch()
    assert [folder.path for folder in runs_in(tmp_path)] == paths[:1]
    with pytest.raises(ConfigError, match="holds no run"):
        Folder(tmp_path / "empty").start  # noqa: B018
