"""A sweep that was interrupted goes on, repeats nothing, and takes no result of other settings."""

import csv
import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scenes
from composed import ROOT
from matplotlib.figure import Figure
from swept import FAILING, FOUR, MLP, plugin, result, sweep

from experiments.cli import main
from experiments.process import signals
from experiments.report.sweep import curves
from experiments.runs import journal
from experiments.runs.folder import Folder
from experiments.settings import Experiment
from experiments.training import resume
from experiments.training.group import Ended
from experiments.training.judge import judging
from experiments.training.loop import Step
from experiments.training.train import Training

Interrupt = Callable[[int], None]


@pytest.fixture(autouse=True)
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave files without pixels in the place of figures, which take longer than the jobs."""
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: Path(path).touch())


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Interrupt]:
    """Let SIGTERM arrive at the second step of the group that is so many after the first."""
    with monkeypatch.context() as patched:

        def at(group: int) -> None:
            taken, begun = Training.take, 0

            def interrupting(self: Training, step: Step) -> list[Ended]:
                nonlocal begun
                begun += step.t == 1
                if step.t == 2 and begun > group:
                    signals._state.received = 15
                    patched.undo()
                return taken(self, step)

            patched.setattr(Training, "take", interrupting)

        yield at


def test_a_sweep_that_is_interrupted_goes_on_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["seed=1,2", "epochs=6", "batch_size=20,30"]
    expected = sweep(tmp_path / "whole", *wanted)
    taken = Training.take

    def interrupting(self: Training, step: Step) -> list[Ended]:
        if step.t == 14 and self._session.experiment.batch_size == 30:
            signals._state.received = 15
        return taken(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(Training, "take", interrupting)
        folder = sweep(tmp_path / "cut", *wanted, status=143)
    assert "the same command goes on" in capsys.readouterr().err
    with (folder / "leaderboard.csv").open() as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    assert statuses == ["finished", "finished", "unfinished", "unfinished"]
    sizes = {job: len(scenes.numbers(folder / str(job))) for job in range(4)}
    again = sweep(tmp_path / "cut", *wanted)
    said = capsys.readouterr().out
    assert again == folder
    assert "goes on with the sweep" in said
    assert "2 there already" in said
    for job in range(4):
        numbers = scenes.numbers(folder / str(job))
        assert len(numbers) >= sizes[job]
        other = scenes.numbers(expected / str(job))
        for key in other:
            if not key[0].startswith(journal.MEASURED):
                assert numbers[key] == pytest.approx(other[key], abs=1e-9), key
        events = [event["event"] for event, _ in journal.read(folder / str(job) / journal.FILE)]
        assert events.count("start") == 1
    assert sweep(tmp_path / "cut", *wanted) != folder  # a finished sweep runs anew


def test_a_sweep_that_is_interrupted_while_its_lanes_are_set_up_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = resume.opened

    def interrupting(folder: Path, experiment: Experiment) -> tuple[journal.Journal, Any]:
        if folder.name == "2":
            signals._receive(15, None)
        return opened(folder, experiment)

    with monkeypatch.context() as patched:
        patched.setattr(resume, "opened", interrupting)
        folder = sweep(tmp_path, *FOUR, status=143)
    assert not list(folder.glob("*/journal*"))  # of none of the jobs, as none had begun
    capsys.readouterr()
    assert sweep(tmp_path, *FOUR) == folder
    assert "goes on with the sweep" in capsys.readouterr().out
    assert [result(folder, job)["status"] for job in range(4)] == ["finished"] * 4


@pytest.mark.whole
def test_rows_of_a_file_that_are_others_now_are_trained(
    tmp_path: Path, interrupt: Interrupt, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, runs = tmp_path / "rows.csv", tmp_path / "runs"
    rows.write_text("optimizer.lr,batch_size\n0.1,20\n0.2,30\n")
    interrupt(1)
    first = sweep(runs, f"sweep.file={rows}", status=143)
    assert Folder(first / "0").status == "finished"
    rows.write_text("optimizer.lr,batch_size\n0.01,20\n0.2,30\n")
    capsys.readouterr()
    second = sweep(runs, f"sweep.file={rows}")
    assert "begins a new sweep" in (told := capsys.readouterr().out)
    assert "its jobs are others now" in told
    assert second != first
    assert [Folder(second / job).settings["optimizer.lr"] for job in "01"] == [0.01, 0.2]
    here = f"hydra.sweep.dir={first}"
    interrupted = ["-m", *scenes.QUICK, f"sweep.file={rows}", f"output={runs}", here]
    assert main.command(ROOT, interrupted) == 2
    assert "is that of another sweep" in capsys.readouterr().err


TABLE = ["dataset=csv", "model=linear", "optimizer=sgd", "optimizer.lr=0.01"]


def table(path: Path, factor: float) -> str:
    path.write_text("a,b,y\n" + "".join(f"{n},{n % 7},{factor * n}\n" for n in range(60)))
    return f"dataset.path={path}"


@pytest.mark.whole
def test_a_sweep_of_other_data_code_or_settings_begins_anew(
    tmp_path: Path,
    interrupt: Interrupt,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "runs"
    wanted = [table(tmp_path / "table.csv", 1.5), "dataset.task=regression", "batch_size=20,30"]
    interrupt(1)
    first = sweep(runs, *wanted, quick=TABLE, status=143)
    capsys.readouterr()

    table(tmp_path / "table.csv", 2.5)
    interrupt(1)
    second = sweep(runs, *wanted, quick=TABLE, status=143)
    assert "begins a new sweep" in (told := capsys.readouterr().out)
    assert "job 0: the data: " in told
    assert value(second, "0") != value(first, "0")

    with monkeypatch.context() as patched:
        origin = resume.origin
        patched.setattr(resume, "origin", lambda own: origin(own) | {"torch": "0.1"})
        interrupt(1)
        third = sweep(runs, *wanted, quick=TABLE, status=143)
    assert "torch: " in (told := capsys.readouterr().out)
    assert "0.1 now; resume_changed=true goes on all the same" in told
    assert third not in (first, second)

    table(tmp_path / "table.csv", 3.5)
    assert sweep(runs, *wanted, "resume_changed=true", quick=TABLE) == third
    assert [Folder(third / job).status for job in "01"] == ["finished", "finished"]


@pytest.mark.whole
def test_a_named_sweep_of_other_data_is_refused(
    tmp_path: Path, interrupt: Interrupt, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["-m", *scenes.QUICK, *TABLE, table(tmp_path / "table.csv", 1.5), "seed=1,2",
              f"output={tmp_path}", f"hydra.sweep.dir={tmp_path / 'mine'}"]  # fmt: skip
    interrupt(0)
    assert main.command(ROOT, wanted) == 143
    table(tmp_path / "table.csv", 2.5)
    capsys.readouterr()
    assert main.command(ROOT, wanted) == 2
    assert "mine cannot go on: job 0: the data: " in capsys.readouterr().err
    table(tmp_path / "table.csv", 1.5)
    assert main.command(ROOT, wanted) == 0


def test_results_of_other_data_are_not_reused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    wanted = [table(tmp_path / "table.csv", 1.5), "dataset.task=regression", "seed=1,2"]
    first = sweep(runs, *wanted, quick=TABLE)
    old = (tmp_path / "table.csv").read_text()
    table(tmp_path / "table.csv", 2.5)
    second = sweep(runs, *wanted, "reuse=true", quick=TABLE)
    assert "there already" not in capsys.readouterr().out
    (tmp_path / "table.csv").write_text(old)
    third = sweep(runs, *wanted, "reuse=true", quick=TABLE)
    assert "2 there already" in capsys.readouterr().out
    of_old = [value(first, job) for job in "01"]
    assert [value(third, job) for job in "01"] == of_old
    assert [value(second, job) for job in "01"] != of_old


def value(folder: Path, job: str) -> float:
    """Return a job's value."""
    return Folder(folder / job).source.result.value


def found(output: Path) -> list[tuple[Any, ...]]:
    """Return what a study has kept of its trials: number, value, and what was tried."""
    with closing(sqlite3.connect(output / "studies.db")) as store:
        return store.execute(
            "select t.number, v.value, p.param_value from trials t"
            " join trial_values v using (trial_id) join trial_params p using (trial_id)"
            " order by t.number"
        ).fetchall()


@pytest.mark.parametrize("sampler", ["tpe", pytest.param("random", marks=pytest.mark.whole)])
@pytest.mark.whole
def test_a_search_that_goes_on_gives_no_trial_the_result_of_another(
    tmp_path: Path, interrupt: Interrupt, sampler: str
) -> None:
    wanted = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.batch=3",
              f"hydra.sweeper.sampler={sampler}", "repeats=2",
              "optimizer.lr=interval(0.001,0.1)"]  # fmt: skip
    whole = sweep(tmp_path / "whole", *wanted)
    interrupt(sampler == "tpe")  # the others are asked for all at once
    cut = sweep(tmp_path / "cut", *wanted, status=143)
    assert sweep(tmp_path / "cut", *wanted) == cut
    trials = np.array(found(tmp_path / "cut"))
    assert trials == pytest.approx(np.array(found(tmp_path / "whole")), rel=1e-6)
    assert len(list(cut.glob("*/result.json"))) == len(list(whole.glob("*/result.json"))) == 12
    for number, mean, lr in trials:
        jobs = [Folder(cut / str(2 * int(number) + n)) for n in range(2)]
        assert [job.settings["optimizer.lr"] for job in jobs] == pytest.approx([lr, lr])
        assert mean == pytest.approx(sum(job.result.value for job in jobs) / 2)


def test_a_sweep_that_is_stopped_while_its_page_is_drawn_has_its_best_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "curves.png")

    with monkeypatch.context() as patched:
        patched.setattr(curves, "learning_curves", full)
        folder = sweep(tmp_path, "seed=1,2", status=5)
    assert Folder(folder).end == "KILLED"
    assert sweep(tmp_path, "seed=1,2") == folder
    assert Folder(folder).end == "FINISHED"
    best = min(Folder(folder / job).result.value for job in "01")
    assert Folder(folder).series("best/val/mae") == [(2, best)]


SEARCH = ["hydra/sweeper=optuna", "hydra.sweeper.sampler=grid"]


@pytest.mark.whole
@pytest.mark.usefixtures("own_registry")
def test_a_search_that_a_failure_stops_goes_on_once_it_is_mended(tmp_path: Path) -> None:
    quick = [*MLP[:3], "model=failing", plugin(tmp_path, "failing", FAILING), "optimizer.lr=0.1"]
    wanted = [*SEARCH, "hydra.sweeper.batch=1", "model.width=4,5,13,6", "on_error=stop"]
    folder = sweep(tmp_path / "runs", *wanted, quick=quick, status=1)
    assert sweep(tmp_path / "runs", *wanted, quick=quick, status=1) == folder
    (tmp_path / "plugins" / "mended").touch()
    assert sweep(tmp_path / "runs", *wanted, quick=quick) == folder
    assert len(found(tmp_path / "runs")) == 4
    ended = [job.settings["model.width"] for job in map(Folder, folder.glob("[0-9]"))
             if job.status == "finished"]  # fmt: skip
    assert sorted(ended) == [4, 5, 6, 13]


@pytest.mark.whole
def test_a_study_is_of_its_code_and_data(
    tmp_path: Path, interrupt: Interrupt, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    wanted = [*SEARCH, "dataset.task=regression", "seed=1,2", table(tmp_path / "table.csv", 1.5)]
    interrupt(0)
    first = sweep(runs, *wanted, quick=TABLE, status=143)
    table(tmp_path / "table.csv", 2.5)
    assert sweep(runs, *wanted, "resume_changed=true", quick=TABLE) == first
    table(tmp_path / "table.csv", 3.5)
    capsys.readouterr()
    second = sweep(runs, *wanted, quick=TABLE)
    assert "trials of this study are there" not in capsys.readouterr().out
    assert [Folder(second / job).status for job in "01"] == ["finished", "finished"]
    third = sweep(runs, *wanted, quick=TABLE)
    assert not list(third.glob("*/result.json"))  # as nothing is left to try


@pytest.mark.whole
def test_reused_jobs_keep_their_numbers_when_a_search_goes_on(
    tmp_path: Path, interrupt: Interrupt
) -> None:
    sweep(tmp_path, "seed=1,2")
    wanted = [*SEARCH, "hydra.sweeper.batch=2", "seed=1,2,3,4,5", "reuse=true"]
    interrupt(0)
    cut = sweep(tmp_path, *wanted, status=143)
    assert sweep(tmp_path, *wanted) == cut
    with (cut / "leaderboard.csv").open() as file:
        assert sorted(row["seed"] for row in csv.DictReader(file)) == list("12345")


@pytest.mark.whole
def test_what_was_changed_midway_is_not_reused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*scenes.QUICK, *MLP, "seed=1", f"output={tmp_path}"]
    assert main.command(ROOT, [*lines, "epochs=1", f"hydra.run.dir={tmp_path / 'one'}"]) == 0
    again = ["resume=one", "epochs=3", "resume_changed=true", f"output={tmp_path}"]
    assert main.command(ROOT, again) == 0
    sweep(tmp_path, "seed=1,2", "epochs=1", "reuse=true")
    assert "there already" not in capsys.readouterr().out


@pytest.mark.whole
def test_no_job_of_several_with_the_same_settings_is_left_behind(
    tmp_path: Path, interrupt: Interrupt
) -> None:
    wanted = ["hydra/sweeper=optuna", "hydra.sweeper.sampler=random", "hydra.sweeper.n_trials=6",
              "hydra.sweeper.batch=6", "batch_size=20,30"]  # fmt: skip
    interrupt(1)
    cut = sweep(tmp_path, *wanted, status=143)
    assert sweep(tmp_path, *wanted) == cut
    assert [Folder(path).status for path in sorted(cut.glob("[0-9]"))] == ["finished"] * 6


def test_a_sweep_one_of_whose_jobs_still_trains_is_left_alone(
    tmp_path: Path, interrupt: Interrupt, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(0)
    folder = sweep(tmp_path, "seed=1,2", status=143)
    with closing(journal.Journal(folder / "1", resume=True)):
        sweep(tmp_path, "seed=1,2", status=2)
    assert "another process trains its job 1" in capsys.readouterr().err
    assert sweep(tmp_path, "seed=1,2") == folder


@pytest.mark.whole
def test_who_judges_a_job_that_goes_on_sees_its_earlier_evaluations(
    tmp_path: Path, interrupt: Interrupt
) -> None:
    seen: list[tuple[int, int]] = []
    wanted = ["seed=1,2", "epochs=3", "evaluate.unit=step", "evaluate.every=1"]
    interrupt(0)
    sweep(tmp_path, *wanted, status=143)
    with judging(lambda job, step, _: bool(seen.append((job, step)))):
        sweep(tmp_path, *wanted)
    steps = max(step for _, step in seen)
    assert sorted(seen) == [(job, step) for job in range(2) for step in range(1, steps + 1)]
