"""The sweeper launches what a study asks for, and tells it how that went; nothing is trained."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from folds import folded
from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, errors

from experiments import Optimizer, complement_range, log_range, lookup, number, register
from experiments.errors import ConfigError
from experiments.runs.result import Result, Status
from experiments.sweeps import launch
from experiments.sweeps.search.repeats import combined
from experiments.sweeps.search.settings import Search
from experiments.training import judge
from hydra_plugins.experiments_optuna import OptunaSweeper

ROW = {"lr": (1e-3, 1), "beta": (0.9, 0.99), "window": (1, 10)}
Work = Callable[[int, dict[str, str]], Result]


def result(value: float, status: str = "finished", higher_is_better: bool = True) -> Result:
    """Return how a job ended."""
    return Result(
        status=Status(status),
        reason="",
        monitor="it",
        higher_is_better=higher_is_better,
        metrics={} if math.isnan(value) else {"best/it": value},
    )


@dataclass
class Jobs:
    """Does a piece of work for each job in place of a launcher, and remembers the jobs."""

    work: Work
    is_local: bool = True
    is_stopped: bool = False
    rounds: list[tuple[int, list[list[str]]]] = field(default_factory=list)

    def numbers(self, jobs: Sequence[list[str]]) -> list[int]:
        """Return the numbers that follow."""
        first = len(self.jobs)
        return list(range(first, first + len(jobs)))

    def __call__(self, jobs: Mapping[int, list[str]]) -> dict[int, Result]:
        """Return how each job went."""
        self.rounds.append((min(jobs), [list(lines) for lines in jobs.values()]))
        return {
            number: self.work(number, dict(line.split("=", 1) for line in lines))
            for number, lines in jobs.items()
        }

    @property
    def jobs(self) -> list[list[str]]:
        """Return the jobs of all rounds."""
        return [job for _, jobs in self.rounds for job in jobs]


Sweep = Callable[..., Jobs]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    """Search with a command line's overrides and the sweeper's settings."""

    def run(
        overrides: Sequence[str],
        work: Work,
        *,
        base: Any = None,
        jobs: Mapping[str, bool] | None = None,
        **settings: Any,
    ) -> Jobs:
        launcher = Jobs(work, **(jobs or {}))
        monkeypatch.setattr(launch, "Launch", lambda *_: launcher)
        merged = OmegaConf.merge(OmegaConf.structured(Search), settings)
        assert isinstance(merged, DictConfig)
        given: Any = {str(key): merged[key] for key in merged if key != "_target_"}
        sweeper = OptunaSweeper(**given)
        config = OmegaConf.create(
            {"output": str(tmp_path), "seed": 0, "repeats": 1, **(base or {})}
        )
        context = HydraContext(config_loader=None, callbacks=None)  # type: ignore[arg-type]
        sweeper.setup(hydra_context=context, task_function=lambda _: None, config=config)
        sweeper.sweep(list(overrides))
        return launcher

    yield run


def _bowl(_: int, settings: dict[str, str]) -> Result:
    return result((float(settings["lr"]) - 0.3) ** 2, higher_is_better=False)


def test_batches_are_launched_until_there_are_enough_trials(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        launcher = sweep(["lr=interval(0,1)", "model=mlp"], _bowl, n_trials=20, batch=8)
    assert [(first, len(jobs)) for first, jobs in launcher.rounds] == [(0, 8), (8, 8), (16, 4)]
    assert all(job[0] == "model=mlp" and job[1].startswith("lr=") for job in launcher.jobs)
    values = [_bowl(0, {"lr": job[1].partition("=")[2]}).value for job in launcher.jobs]
    best = min(range(20), key=values.__getitem__)
    told = f"Best, trial {best} with {values[best]:.6g}: {launcher.jobs[best][1]}"
    assert caplog.messages[-1] == told


@pytest.mark.parametrize("sampler", ["random", "quasi_random", "grid"])
def test_a_sampler_that_learns_nothing_is_asked_for_all_at_once(sweep: Sweep, sampler: str) -> None:
    launcher = sweep(
        ["a=1,2,3", "b=range(4)"], lambda *_: result(1.0), sampler=sampler, n_trials=12
    )
    assert [len(jobs) for _, jobs in launcher.rounds] == [12]


def test_the_same_command_goes_on_with_its_study(
    sweep: Sweep, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = sweep(["lr=interval(0,1)"], _bowl, sampler="random", n_trials=5)
    with caplog.at_level(logging.INFO):
        second = sweep(["lr=interval(0,1)"], _bowl, sampler="random", n_trials=8)
        third = sweep(["lr=interval(0,1)"], _bowl, sampler="random", n_trials=8)
    assert "5 trials of this study are there, 3 to go." in caplog.messages
    assert (tmp_path / "studies.db").exists()
    assert [len(one.jobs) for one in (first, second, third)] == [5, 3, 0]
    unstored = sweep(["lr=interval(0,1)"], _bowl, sampler="random", n_trials=8, storage=None)
    assert unstored.jobs == [*first.jobs, *second.jobs]
    elsewhere = str(tmp_path / "other" / "mine.db")
    sweep(["lr=interval(0,1)"], _bowl, sampler="random", n_trials=2, storage=elsewhere)
    assert Path(elsewhere).exists()
    with pytest.raises(ConfigError, match="give the path of a file"):
        sweep(["lr=interval(0,1)"], _bowl, n_trials=2, storage="sqlite:///mine.db")


@pytest.mark.parametrize(
    ("overrides", "base", "settings"),
    [
        (["lr=interval(0,2)"], {}, {}),
        (["lr=interval(0,1)", "model=cnn"], {}, {}),
        (["lr=interval(0,1)"], {"epochs": 3}, {}),
        (["lr=interval(0,1)"], {"hydra": {"runtime": {"choices": {"model": "cnn"}}}}, {}),
        (["lr=interval(0,1)"], {}, {"seed": 1}),
        (["lr=interval(0,1)"], {}, {"sampler": "quasi_random"}),
    ],
)
def test_another_command_begins_a_study_of_its_own(
    overrides: list[str], base: Any, settings: dict[str, Any], sweep: Sweep
) -> None:
    chosen: dict[str, Any] = {"sampler": "random", "n_trials": 2}
    sweep(["lr=interval(0,1)"], _bowl, **chosen)
    assert len(sweep(overrides, _bowl, base=base, **(chosen | settings)).jobs) == 2


def test_where_results_go_does_not_make_another_study(sweep: Sweep) -> None:
    chosen: dict[str, Any] = {"sampler": "random", "n_trials": 2}
    sweep(["lr=interval(0,1)"], _bowl, base={"tracking": {"name": "a"}}, **chosen)
    again = ["lr=interval(0,1)", "tracking.name=b"]
    assert sweep(again, _bowl, base={"tracking": {"name": "b"}}, **chosen).jobs == []


def test_a_named_study_of_another_space_is_refused(sweep: Sweep) -> None:
    sweep(["lr=interval(0,1)"], _bowl, n_trials=2, study="mine")
    with pytest.raises(
        ConfigError, match=r"'mine' .* lr=interval\(0.0,1.0\), and this command lr="
    ):
        sweep(["lr=interval(0,2)"], _bowl, n_trials=2, study="mine")
    with pytest.raises(ConfigError, match="has no epochs, and this command epochs=3"):
        sweep(["lr=interval(0,1)", "epochs=3"], _bowl, n_trials=2, study="mine")


def test_a_sweep_that_keeps_nothing_leaves_no_file(sweep: Sweep, tmp_path: Path) -> None:
    sweep(["lr=interval(0,1)"], _bowl, n_trials=2, base={"tracking": {"mode": "none"}})
    sweep(["lr=interval(0,1)"], _bowl, n_trials=2, storage=None)
    assert list(tmp_path.iterdir()) == []


def test_repeats_are_jobs_whose_seeds_go_up_and_whose_mean_counts(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        launcher = sweep(
            ["a=1,2", "seed=5"],
            lambda _, s: result(float(s["a"]) + float(s["seed"])),
            base={"repeats": 3, "seed": 5},
            sampler="grid",
        )
    seeds = ["seed=5", "seed=6", "seed=7"]
    assert sorted(launcher.jobs) == [[f"a={a}", seed] for a in (1, 2) for seed in seeds]
    assert caplog.messages[-1].endswith("with 8: a=2")


@pytest.mark.usefixtures("own_registry")
def test_folds_repeat_a_trial_and_are_not_searched(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    folded()
    with caplog.at_level(logging.INFO):
        launcher = sweep(
            ["a=1,2", "dataset.fold=range(3)"],
            lambda _, s: result(float(s["a"]) + float(s["dataset.fold"])),
            base={"repeats": 2},
            sampler="grid",
        )
    again = [[f"seed={seed}", f"dataset.fold={fold}"] for seed in range(2) for fold in range(3)]
    assert launcher.jobs == [[f"a={a}", *lines] for a in (1, 2) for lines in again]
    assert caplog.messages[-1].endswith("with 3: a=2")


def test_repeats_begin_with_the_seed_of_the_configuration(sweep: Sweep) -> None:
    launcher = sweep(
        ["a=1,2"],
        lambda *_: result(1.0),
        base={"repeats": 2, "seed": 8},
        sampler="grid",
        n_trials=1,
    )
    assert [job[1] for job in launcher.jobs] == ["seed=8", "seed=9"]


def test_a_trial_is_given_up_by_the_mean_of_its_repeats(sweep: Sweep) -> None:
    verdicts: dict[tuple[str, str], list[bool]] = {}

    def work(number: int, settings: dict[str, str]) -> Result:
        value = -float(settings["a"]) + float(settings["seed"])
        given_up = [judge.is_given_up(number, step, value) for step in (10, 20, 30)]
        verdicts[settings["a"], settings["seed"]] = given_up
        return result(value, "pruned" if any(given_up) else "finished")

    overrides = ["a=range(1,9)"]
    chosen: dict[str, Any] = {"sampler": "grid", "batch": 1, "pruner": "median", "startup": 2}
    sweep(overrides, work, base={"repeats": 2}, direction="maximize", **chosen)
    assert not any(any(v) for (_, seed), v in verdicts.items() if seed == "0")
    given_up = {a for (a, seed), v in verdicts.items() if seed == "1" and v == [True] * 3}
    assert "8" in given_up
    assert "1" not in given_up
    assert not judge.is_given_up(0, 10, 0.0)  # nobody judges after the sweep


def test_which_values_are_better_is_what_the_first_value_says(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    def work(number: int, settings: dict[str, str]) -> Result:
        if number == 0:  # it has no value, and what it says of it is nothing to go by
            return result(math.nan, "diverged", higher_is_better=True)
        return result(float(settings["a"]), higher_is_better=False)

    with caplog.at_level(logging.INFO):
        jobs = sweep(["a=1,2,3"], work, sampler="grid").jobs
        lowest = min(int(job[0].partition("=")[2]) for job in jobs[1:])
        assert caplog.messages[-1].endswith(f"a={lowest}")
        sweep(["a=1,2,3"], work, sampler="grid", study="b", direction="maximize")
        highest = max(int(job[0].partition("=")[2]) for job in jobs[1:])
        assert caplog.messages[-1].endswith(f"a={highest}")


def test_a_job_that_failed_is_a_trial_that_failed(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_: int, settings: dict[str, str]) -> Result:
        return result(math.nan, "failed") if settings["a"] == "x" else result(1.0)

    with caplog.at_level(logging.INFO):
        first = sweep(["a=x,y"], work, sampler="grid")
        assert caplog.messages[-1].endswith("with 1: a=y")
        second = sweep(["a=x,y"], work, sampler="grid")
        assert (len(first.jobs), second.jobs) == (2, [["a=x"]])
        sweep(["a=x,z"], lambda *_: result(math.nan, "failed"), sampler="grid")
    assert caplog.messages[-1] == "No trial has come to its end."


def test_a_search_ends_when_its_jobs_have_been_stopped(sweep: Sweep) -> None:
    launcher = sweep(
        ["a=interval(0,1)"],
        lambda *_: result(math.nan, "failed"),
        jobs={"is_stopped": True},
        n_trials=8,
        batch=2,
    )
    assert len(launcher.jobs) == 2


def test_jobs_of_other_processes_cannot_be_given_up(sweep: Sweep) -> None:
    elsewhere = {"is_local": False}
    with pytest.raises(ConfigError, match=r"hydra.sweeper.pruner=median: .* other processes"):
        sweep(["a=1,2"], lambda *_: result(1.0), jobs=elsewhere, pruner="median")
    assert sweep(["a=1,2"], lambda *_: result(1.0), jobs=elsewhere, n_trials=2).jobs


def test_what_varies_may_stand_in_a_file_and_the_command_line_wins(sweep: Sweep) -> None:
    params = {"lr": "interval(0,1)", "model": "mlp", "epochs": "3"}
    launcher = sweep(["model=cnn"], _bowl, n_trials=2, params=params)
    assert [[line.partition("=")[0] for line in job] for job in launcher.jobs] == [
        ["epochs", "model", "lr"]
    ] * 2
    assert all("model=cnn" in job for job in launcher.jobs)


@pytest.mark.parametrize(
    ("overrides", "base", "settings", "said"),
    [
        (["model=mlp"], {}, {}, "Nothing is varied"),
        (["lr=interval(0,1)"], {}, {"n_trials": 0}, r"hydra.sweeper.n_trials=0: must be >= 1\."),
        (["lr=interval(0,1)"], {}, {"batch": 0}, r"hydra.sweeper.batch=0: must be >= 1\."),
        (["lr=interval(0,1)"], {}, {"n_trials": 10**6}, "1000000 jobs; at most"),
        (["lr=interval(0,1)"], {}, {"sampler": "grid"}, "a grid needs a list of values"),
        (["seed=1,2"], {"repeats": 2}, {}, "seed: with repeats=2"),
        (["repeats=1,2"], {}, {}, "repeats=1,2: jobs of a sweep cannot differ in this"),
        (["a=1,2"], {"sweep": {"zip": ["a"]}}, {}, r"sweep.zip=\['a'\]: hydra/sweeper=optuna"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    overrides: list[str], base: Any, settings: dict[str, Any], said: str, sweep: Sweep
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        sweep(overrides, _bowl, base=base, **settings)
    assert "\n" not in str(caught.value)


@pytest.fixture
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a configuration whose rule says where its numbers are to be looked for."""
    request.getfixturevalue("own_registry")

    @register("searched")
    class Searched(Optimizer):
        """Steps."""

        lr: float = number(0.1, at_least=0, space=log_range(1e-3, 1, "a paper"))
        beta: float = number(0.9, at_least=0, below=1, space=complement_range(0.9, 0.99))
        window: int = number(5, at_least=1, space=log_range(1, 10))
        eps: float = number(1e-8, at_least=0)

        def update(self, grad: Any, param: Any, state: Any, t: Any) -> Any:
            return grad, state

    nested = {"rules": {"part": OmegaConf.structured(Searched)}}
    return {"optimizer": OmegaConf.structured(Searched), "transform": {"other": nested}}


def test_a_rule_says_where_its_numbers_are_looked_for(
    sweep: Sweep, found: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    base = {"optimizer": found["optimizer"], "transform": {}}
    launcher = sweep(["seed=1"], lambda *_: result(1.0), base=base, n_trials=24, space="rule")
    rows = [dict(line.split("=") for line in job) for job in launcher.jobs]
    assert all(row.keys() - {"seed"} == {f"optimizer.{n}" for n in ROW} for row in rows)
    for name, (low, high) in ROW.items():
        values = [float(row[f"optimizer.{name}"]) for row in rows]
        assert low <= min(values) < max(values) <= high
    told = capsys.readouterr().out.splitlines()
    assert "optimizer.lr=tag(log,interval(0.001,1))  (a paper)" in told
    assert "optimizer.beta=tag(complement,interval(0.9,0.99))" in told
    assert all(row["optimizer.window"].isdigit() for row in rows)


def test_what_the_command_line_gives_is_not_looked_for_elsewhere(
    sweep: Sweep, found: dict[str, Any]
) -> None:
    given = ["optimizer.lr=0.5", "optimizer.beta=tag(complement,interval(0.1,0.2))"]
    work = lambda *_: result(1.0)  # noqa: E731
    launcher = sweep(given, work, base=found, n_trials=8, space="rule", sampler="random")
    for job in launcher.jobs:
        row = dict(line.split("=") for line in job)
        assert row["optimizer.lr"] == "0.5"
        assert 0.1 <= float(row["optimizer.beta"]) <= 0.2
        assert 1e-3 <= float(row["transform.other.rules.part.lr"]) <= 1


def test_a_search_of_a_rule_that_says_nothing_is_told_in_one_line(
    sweep: Sweep, found: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="optimizer=a,b are several rules"):
        sweep(["optimizer=a,b"], lambda *_: result(1.0), base=found, space="rule")
    silent = {"optimizer": OmegaConf.structured(lookup("loss", "mse")), "transform": {}}
    with pytest.raises(ConfigError, match="does not say where to look"):
        sweep(["seed=1"], lambda *_: result(1.0), base=silent, space="rule")


@pytest.mark.parametrize("wrong", [{"sampler": "tep"}, {"n_trils": 3}, {"startup": "x"}])
def test_settings_are_typed(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.OmegaConfBaseException):
        OmegaConf.merge(OmegaConf.structured(Search), wrong)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["finished", "finished"], "finished"),
        (["finished", "pruned"], "pruned"),
        (["pruned", "diverged"], "diverged"),
        (["diverged", "failed"], "failed"),
    ],
)
def test_a_trial_ends_as_the_worst_of_its_jobs(statuses: list[str], expected: str) -> None:
    whole = combined([result(float(n), status) for n, status in enumerate(statuses)])
    assert whole == (0.5, expected)


def test_hydra_finds_the_sweeper_without_the_libraries_of_a_search(tmp_path: Path) -> None:
    code = """
import sys
from hydra.core.plugins import Plugins
names = [plugin.__name__ for plugin in Plugins.instance().discover()]
assert "OptunaSweeper" in names
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not {"optuna", "cmaes", "torch", "mlflow", "sqlalchemy"} & set(done.stdout.split())
    assert ConfigStore.instance().load("hydra/sweeper/optuna.yaml").provider == "experiments"
