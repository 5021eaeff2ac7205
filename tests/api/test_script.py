"""Runs and sweeps called from a script: what comes back, and what is raised."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import SMALL
from torch import Tensor

import experiments
from experiments import DataSpec, Network, Optimizer, State, lookup, number
from experiments.api.script import _text
from experiments.errors import ConfigError, DivergedError
from experiments.runs.folder import Folder
from experiments.runs.result import Status

CLASSES = [*SMALL, "dataset.task=classification"]
QUICK: dict[str, Any] = {"epochs": 2, "device": "cpu", "tracking": "none"}


def test_a_run_comes_back_with_its_numbers_and_its_model() -> None:
    done = experiments.run(*CLASSES, "model=mlp", **{"optimizer.lr": 0.05}, **QUICK)
    assert (done.status, done.folder) == (Status.finished, None)
    assert done.settings["optimizer.lr"] == 0.05
    assert done.settings["model"] == "mlp"
    assert done.result.reason == "epochs=2"
    assert done.metrics["final/val/accuracy"] <= done.metrics["best/val/accuracy"]
    losses = done.series["train/loss"].dropna()
    assert list(losses.index) == [1, 2, 3, 4]
    assert done.series.index.name == "step"
    assert done.model(torch.zeros(3, 4)).shape == (3, 3)


def test_a_run_that_is_kept_has_a_folder_and_the_same_model_in_it(tmp_path: Path) -> None:
    done = experiments.run(*CLASSES, **QUICK | {"tracking": "offline"}, output=tmp_path)
    assert done.folder is not None
    assert Folder(done.folder).result == done.result
    again = experiments.run(f"resume={done.folder.name}", output=tmp_path)
    assert again.folder == done.folder
    items = torch.randn(5, 4)
    torch.testing.assert_close(again.model(items), done.model(items))
    assert again.series["train/loss"].equals(done.series["train/loss"])


def test_a_regression_learns_standardised_targets_and_answers_in_its_own_units(
    tmp_path: Path,
) -> None:
    table = tmp_path / "houses.csv"
    rows = [f"{x / 10},{3e6 + 2e5 * x},{40 - x / 7}" for x in range(80)]
    table.write_text("\n".join(["size,price,age", *rows]))
    for target, columns in (("price", [1]), ("[price,age]", [1, 2])):
        done = experiments.run(
            "dataset=csv",
            f"dataset.target={target}",
            *([] if len(columns) > 1 else ["dataset.ignore=[age]"]),
            **{"dataset.path": table, "optimizer.lr": 0.1},
            **QUICK | {"epochs": 60, "tracking": "offline"},
            output=tmp_path,
        )
        assert done.metrics["test/r2"] > 0.99
        assert done.metrics["test/loss"] < 0.1
        items = torch.tensor([[0.0], [4.0]])
        wanted = torch.tensor([[3e6, 40.0], [11e6, 40 - 40 / 7]])[:, [c - 1 for c in columns]]
        torch.testing.assert_close(done.model(items), wanted, rtol=0.05, atol=0)
        assert done.folder is not None
        again = experiments.run(f"resume={done.folder.name}", output=tmp_path)
        torch.testing.assert_close(again.model(items), done.model(items))


def test_a_sweep_comes_back_in_the_order_of_its_jobs(tmp_path: Path) -> None:
    for tracking, folder in (("none", None), ("offline", tmp_path)):
        done = experiments.sweep(
            *CLASSES,
            "hydra.launcher.probe=false",
            **{"optimizer.lr": [0.01, 0.1]},
            seed=range(2),
            **QUICK | {"tracking": tracking},
            output=tmp_path,
        )
        frame = done.to_frame()
        assert list(frame["optimizer.lr"]) == [0.01, 0.01, 0.1, 0.1]
        assert list(frame["seed"]) == [0, 1, 0, 1]
        assert set(frame["status"]) == {"finished"}
        assert done[3].metrics["test/loss"] == frame["test/loss"][3]
        assert len(done[0].series["train/loss"].dropna()) == 4
        assert done[2].model(torch.zeros(3, 4)).shape == (3, 3)
        assert (done.folder is None) == (folder is None)


def test_a_job_that_diverges_is_one_of_the_runs_and_a_run_raises() -> None:
    rates = {"optimizer.lr": [0.1, 1e30]}
    regression = [*SMALL, "dataset.task=regression"]
    done = experiments.sweep(*regression, **rates, **QUICK)
    assert [one.status for one in done] == [Status.finished, Status.diverged]
    with pytest.raises(ConfigError, match="has no model"):
        done[1].model  # noqa: B018
    wrong = experiments.sweep(*regression, **{"optimizer.lr": [-1, 0.1]}, **QUICK)
    assert [one.status for one in wrong] == [Status.failed, Status.finished]
    assert "must be >= 0" in wrong[0].result.reason
    with pytest.raises(DivergedError, match=r"The loss is .* at step \d"):
        experiments.run(*regression, **{"optimizer.lr": 1e30}, **QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 5}, "There is no setting epoch; did you mean 'epochs'"),
        ({"model": "lineer"}, "model=lineer; did you mean 'linear'"),
        ({"optimizer.lr": -1}, "optimizer.lr=-1.*: must be >= 0"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"repeats": 2}, "repeats makes several runs"),
    ],
)
def test_wrong_settings_raise_what_a_command_line_tells(
    settings: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=message):
        experiments.run(*SMALL, **QUICK | settings)
    assert capsys.readouterr().err == ""


def test_what_makes_several_runs_is_a_sweep_s() -> None:
    with pytest.raises(ConfigError, match=r"seed has several values; add -m"):
        experiments.run(*SMALL, "seed=1,2", **QUICK)
    with pytest.raises(ConfigError, match=r"several runs: call sweep"):
        experiments.run(*SMALL, "sweep=learning_rate", **QUICK)


def test_where_there_is_no_checkout_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert experiments.run(*SMALL, **QUICK).status is Status.finished  # the package's own
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ConfigError, match=r"no conf/config\.yaml"):
        experiments.run(*SMALL, **QUICK)


@pytest.mark.usefixtures("own_registry")
def test_a_rule_of_the_script_itself_is_used_and_may_be_written_anew() -> None:
    found = []
    for size in (0.0, 0.1):

        @experiments.register("own")
        class Own(Optimizer):
            """Steps of one size."""

            lr: float = number(size)

            def update(
                self, grad: Tensor, param: Tensor, state: State, t: Tensor
            ) -> tuple[Tensor, State]:
                return self.lr * grad.sign(), state

        found.append(experiments.run(*SMALL, "optimizer=own", **QUICK).metrics["test/loss"])
    assert found[0] != found[1]


def test_it_works_within_a_running_event_loop_and_gives_the_log_back(tmp_path: Path) -> None:
    log, handler = logging.getLogger(), logging.FileHandler(tmp_path / "own.log", mode="w")
    log.addHandler(handler)
    before = list(log.handlers), log.level

    async def called() -> Status:
        return experiments.run(*SMALL, **QUICK).status

    try:
        assert asyncio.run(called()) is Status.finished
        assert (log.handlers, log.level) == before
        log.warning("a line of the caller's")
    finally:
        log.removeHandler(handler)
        handler.close()
    assert (tmp_path / "own.log").read_text() == "a line of the caller's\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (1e-3, "0.001"),
        ("mlp", "mlp"),
        ("null", '"null"'),
        ("it's, so", '"it\'s, so"'),
        ([1, "a b", None], '[1,"a b",null]'),
        (Path("/a/b"), "/a/b"),
    ],
)
def test_a_value_stands_as_on_a_command_line(value: Any, text: str) -> None:
    assert _text(value) == text


@pytest.mark.usefixtures("own_registry")
def test_what_a_plugin_changes_of_the_process_reaches_neither_other_jobs_nor_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mlp = lookup("model", "mlp")

    @experiments.register("dirty")
    class Dirty(mlp):  # type: ignore[misc,valid-type]
        """Changes what all jobs have in common."""

        def build(self, spec: DataSpec) -> Network:
            made = mlp.build(self, spec)
            torch.set_default_dtype(torch.float64)
            torch.set_num_threads(2)
            torch.rand(7)
            monkeypatch.chdir("/")
            return made  # type: ignore[no-any-return]

    def sweep(models: str) -> dict[str, float]:
        done = experiments.sweep(*CLASSES, f"model={models}", "optimizer=adam", **QUICK)
        assert all(one.status is Status.finished for one in done)
        return {one.settings["model"]: one.metrics["test/loss"] for one in done}

    here, threads, drawn = Path.cwd(), torch.get_num_threads(), torch.get_rng_state()
    alone = experiments.run(*CLASSES, "model=mlp", "optimizer=adam", **QUICK).metrics["test/loss"]
    assert sweep("dirty,mlp")["mlp"] == sweep("mlp,dirty")["mlp"] == alone
    experiments.run(*CLASSES, "model=dirty", **QUICK)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, threads)
    assert Path.cwd() == here
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.usefixtures("own_registry")
def test_the_threads_of_one_job_are_not_those_of_the_next() -> None:
    mlp, seen = lookup("model", "mlp"), []

    @experiments.register("counting")
    class Counting(mlp):  # type: ignore[misc,valid-type]
        """Tells how many threads there are."""

        def build(self, spec: DataSpec) -> Network:
            seen.append(torch.get_num_threads())
            return mlp.build(self, spec)  # type: ignore[no-any-return]

    torch.set_num_threads(2)
    for threads in ("1,null", "null,1"):
        seen.clear()
        experiments.sweep(*CLASSES, "model=counting", f"device.threads={threads}", **QUICK)
        assert seen[:2] == [1 if value == "1" else 2 for value in threads.split(",")]
    assert torch.get_num_threads() == 2
