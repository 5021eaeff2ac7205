"""The picture of a sweep on a problem of two parameters: which of its jobs it shows, and where."""

from itertools import product
from pathlib import Path

import scenes
import torch
from composed import compose

from experiments.runs.result import Result, Status
from experiments.sweeps import leaderboard, paths
from experiments.sweeps.leaderboard import Job
from experiments.training.trajectory import path_of

PLANE = ["dataset=synthetic", "dataset.features=1", "dataset.items=100", "model=linear"]


def trained(folder: Path, *jobs: list[str]) -> list[Job]:
    for n, own in enumerate(jobs):
        assert scenes.train(folder / str(n), own) == "finished"
    return leaderboard.read(folder)


def job(**overrides: object) -> Job:
    result = Result(status=Status.finished, reason="epochs=1")
    own = {key.replace("_", "."): str(value) for key, value in overrides.items()}
    return Job(name="0", overrides=own, result=result, curve=[])


def test_jobs_are_shown_on_one_contour_and_repetitions_once(tmp_path: Path) -> None:
    own = product(("sgd", "adam"), (0, 1))
    jobs = trained(tmp_path, *([*PLANE, f"optimizer={rule}", f"seed={n}"] for rule, n in own))
    (panel,) = paths.panels(tmp_path, jobs, compose)
    assert panel.title == ""
    best = {one.overrides["optimizer"]: one.name for one in reversed(jobs)}
    assert panel.paths.keys() == {f"optimizer={rule}" for rule in best}
    for rule, name in best.items():
        assert panel.paths[f"optimizer={rule}"].equal(path_of(tmp_path / name)[:, 1:])


def test_each_loss_has_a_panel_of_its_own(tmp_path: Path) -> None:
    jobs = trained(tmp_path, *([*PLANE, f"loss={loss}", "epochs=1"] for loss in ("mse", "l1")))
    panels = paths.panels(tmp_path, jobs, compose)
    assert {panel.title for panel in panels} == {"loss=mse", "loss=l1"}
    assert all(panel.paths.keys() == {"all"} for panel in panels)
    assert not torch.equal(panels[0].contour.values, panels[1].contour.values)


def test_jobs_of_more_parameters_have_none(tmp_path: Path) -> None:
    jobs = trained(tmp_path, [*PLANE, "dataset.features=2"])
    assert paths.panels(tmp_path, jobs, compose) == []


def test_of_many_settings_the_best_of_each_rule_is_shown() -> None:
    rates = (0.1, 0.01, 0.001)
    jobs = [
        job(optimizer=rule, optimizer_lr=lr) for lr in rates for rule in ("sgd", "adam", "lion")
    ]
    shown = [
        (one.overrides["optimizer"], one.overrides["optimizer.lr"]) for one in paths._chosen(jobs)
    ]
    assert shown == [("sgd", "0.1"), ("adam", "0.1"), ("lion", "0.1")]


def test_of_many_numbers_the_best_are_shown() -> None:
    jobs = [job(optimizer_lr=lr) for lr in range(20)]
    assert [one.overrides["optimizer.lr"] for one in paths._chosen(jobs)] == list("0123456")


def test_a_rule_has_one_name_whatever_its_numbers() -> None:
    jobs = [job(optimizer="sgd", optimizer_lr=0.1), job(optimizer="adam", optimizer_lr=0.01)]
    assert paths._named(jobs) == [("optimizer=sgd", "lr=0.1"), ("optimizer=adam", "lr=0.01")]
    jobs.append(job(optimizer="sgd", optimizer_lr=0.2))
    assert paths._named(jobs)[2] == ("optimizer=sgd lr=0.2", "")
