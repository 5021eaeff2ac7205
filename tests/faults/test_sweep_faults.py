"""A job of a sweep that fails, is killed or runs out of memory costs the sweep that job alone."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path

import programs
import pytest
import scenes

from experiments.runs import journal

pytestmark = pytest.mark.process

# Ways to fall in the middle of the training, unless the file `mended` is there.
PLUGIN = '''
import os
import signal
from pathlib import Path

import torch

from experiments import Model, Network, register

HERE = Path(__file__).parent


@register("falling")
class Falling(Model):
    """A linear model that falls at its tenth step, in some way."""

    way: str = "none"

    def build(self, spec):
        _count.clear()
        weights = torch.zeros(spec.features, spec.outputs, requires_grad=True)
        return Network({"weights": weights}, self.forward)

    def forward(self, params, inputs):
        if torch.is_grad_enabled():
            _count.append(1)
            if len(_count) == 10 and not (HERE / "mended").exists():
                WAYS[self.way]()
        return inputs.flatten(1) @ params["weights"]


def _raise():
    raise ZeroDivisionError("on purpose")


def _allocate():
    torch.empty(2**50)


_count = []
WAYS = {
    "none": lambda: None,
    "last": lambda: None,
    "raise": _raise,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "memory": _allocate,
}
'''


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[str, ...]:
    """Return the settings of a run with a model that may fall."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "falling.py").write_text(PLUGIN)
    return (
        *programs.QUICK,
        *("model=falling", "optimizer=adam", "epochs=1", "log_every=3"),
        *("checkpoint.every=4", "checkpoint.unit=step", "evaluate.unit=step", "evaluate.every=5"),
        *(f"plugin_path=[{folder}]", f"output={tmp_path / 'runs'}"),
    )


def sweep_of(tmp_path: Path) -> Path:
    """Return the folder of the only sweep."""
    (folder,) = (tmp_path / "runs").glob("*-sweep")
    return folder


def never_fallen(tmp_path: Path, arguments: tuple[str, ...]) -> dict[str, object]:
    """Return the outcome of a run of its own that does not fall."""
    output = tmp_path / "alone"
    ended = programs.run(*arguments, f"output={output}", log=tmp_path / "alone.log")
    assert ended.status == 0, ended.err
    return computed(programs.only_run(output))


def computed(folder: Path) -> dict[str, object]:
    """Return what a run has computed; its settings say how it was to fall."""
    outcome = scenes.outcome(folder)
    return {part: outcome[part] for part in ("numbers", "best", "last")}


def goes_on(tmp_path: Path, job: Path, expected: dict[str, object]) -> None:
    """Check that a job goes on, once its cause is mended, as if it had never fallen."""
    # No journal decides which code runs.
    own = (f"plugin_path=[{tmp_path / 'plugins'}]", f"output={tmp_path / 'runs'}")
    again = programs.run(
        f"resume={job.parent.name}/{job.name}", *own, log=tmp_path / f"again{job.name}"
    )
    assert again.status == 0, again.err
    assert programs.status_of(job) == "FINISHED"
    assert scenes.same(computed(job), expected)


def test_jobs_that_fail_or_run_out_of_memory(
    tmp_path: Path, arguments: tuple[str, ...], rounds: Callable[[int, int], int]
) -> None:
    ways = "model.way=none,raise,memory,last"
    ended = programs.run("-m", *arguments, ways, log=tmp_path / "log")
    sweep = sweep_of(tmp_path)
    assert ended.status == 1
    first, second, third = ended.err.splitlines()
    assert first == "error: 2 of 4 jobs failed:"
    assert "model.way=raise: model=falling: ZeroDivisionError: on purpose (" in second
    assert "Out of memory" in third
    jobs = [sweep / str(n) for n in range(4)]
    statuses = [programs.status_of(folder) for folder in (sweep, *jobs)]
    assert statuses == ["FAILED", "FINISHED", "FAILED", "FAILED", "FINISHED"]
    with (sweep / "leaderboard.csv").open() as file:
        table = {row["job"]: row["status"] for row in csv.DictReader(file)}
    assert table == {"0": "finished", "1": "failed", "2": "failed", "3": "finished"}
    assert [line[:2] for line in ended.out.splitlines() if line[:1] == "#"] == [
        "#0",
        "#1",
        "#2",
        "#3",
    ]

    expected = never_fallen(tmp_path, arguments)
    assert scenes.same(computed(jobs[0]), expected)
    assert scenes.same(computed(jobs[3]), expected)
    (tmp_path / "plugins" / "mended").touch()
    for job in jobs[1 : 1 + rounds(2, 1)]:
        goes_on(tmp_path, job, expected)


@pytest.mark.whole
def test_a_sweep_that_is_killed_in_a_job(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = programs.run("-m", *arguments, "model.way=none,kill,raise", log=tmp_path / "log")
    assert ended.status == -signal.SIGKILL
    sweep = sweep_of(tmp_path)
    first, second = sweep / "0", sweep / "1"
    assert sorted(path.name for path in sweep.glob("[0-9]")) == ["0", "1"]
    assert [programs.status_of(folder) for folder in (sweep, first, second)] == [
        None,
        "FINISHED",
        None,
    ]
    assert not any(journal.is_held(folder) for folder in (sweep, first, second))
    expected = never_fallen(tmp_path, arguments)
    assert scenes.same(computed(first), expected)
    (tmp_path / "plugins" / "mended").touch()
    goes_on(tmp_path, second, expected)
    assert scenes.same(computed(first), expected)


@pytest.mark.whole
@pytest.mark.parametrize("setting", ["model=linear,cnn", "loss=auto,cross_entropy"])
def test_a_job_whose_settings_do_not_fit_each_other(
    tmp_path: Path, arguments: tuple[str, ...], setting: str
) -> None:
    # Each value fits the first of the other setting: what does not is met when its turn comes.
    pairs = ("dataset=digits,synthetic", setting)
    ended = programs.run("-m", *arguments, *pairs, log=tmp_path / "log")
    assert ended.status == 1, ended
    assert ended.err.startswith("error: 1 of 4 jobs failed:\n"), ended.err
    assert "does not fit" in ended.err
    assert programs.status_of(sweep_of(tmp_path)) == "FAILED"


@pytest.mark.whole
def test_a_job_that_cannot_even_begin(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = "hydra.sweep.subdir=one"  # of every job
    ended = programs.run("-m", *arguments, folder, "seed=1,2", log=tmp_path / "log")
    assert ended.status == 1, ended
    assert ended.err.startswith("error: 1 of 2 jobs failed:\n  #1 seed=2: "), ended.err
    assert "is busy" in ended.err or "cannot go on" in ended.err
    assert programs.status_of(sweep_of(tmp_path)) == "FAILED"
    assert programs.status_of(sweep_of(tmp_path) / "one") == "FINISHED"


def test_jobs_that_cannot_have_a_folder(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = "hydra.sweep.subdir=multirun.yaml"  # a file, which is there before the jobs
    ended = programs.run("-m", *arguments, folder, "seed=1,2", log=tmp_path / "log")
    assert ended.status == 1, ended
    assert ended.err.startswith("error: 2 of 2 jobs failed:\n  #0 seed=1: "), ended.err
    assert ended.err.count("multirun.yaml") == 2, ended.err  # each with its own reason
    assert programs.status_of(sweep_of(tmp_path)) == "FAILED"


@pytest.mark.whole
def test_a_launcher_s_worker_that_is_killed_costs_its_own_jobs(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    launcher = "hydra/launcher=submitit_local"
    ended = programs.run("-m", *arguments, launcher, "model.way=none,kill", log=tmp_path / "log")
    sweep = sweep_of(tmp_path)
    assert ended.status == 1, ended
    assert "error: 1 of 2 jobs failed:\n  #1 model.way=kill: it came to no end" in ended.err
    assert [programs.status_of(sweep / str(job)) for job in range(2)] == ["FINISHED", None]
    assert not journal.is_held(sweep / "1")
    (tmp_path / "plugins" / "mended").touch()
    goes_on(tmp_path, sweep / "1", never_fallen(tmp_path, arguments))
