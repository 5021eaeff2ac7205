"""The path of two parameters: every step of it is recorded, however the steps are taken."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import scenes
import torch
from composed import ROOT, compose
from torch import Tensor

import experiments
from experiments.errors import DivergedError
from experiments.runs.journal import Journal
from experiments.runs.provenance import Identity
from experiments.runs.result import Result
from experiments.training import engine, landscape
from experiments.training.program.program import Program
from experiments.training.run import Run, execute
from experiments.training.session import Session, prepare
from experiments.training.trajectory import path_of

PLANE = ["dataset=synthetic", "dataset.features=1", "dataset.items=100", "model=linear"]
PLANE += ["batch_size=35", "epochs=15", "device=cpu"]


def session(*overrides: str) -> Session:
    return prepare(compose([*PLANE, "tracking=none", *overrides]))


def together(folder: Path, jobs: Sequence[list[str]]) -> None:
    """Train jobs as lanes, each in a folder of its number."""
    runs = []
    for n, own in enumerate(jobs):
        (folder / str(n)).mkdir()
        experiment = compose([*scenes.QUICK, *PLANE, f"output={folder}", *own])
        identity = Identity(f"sweep.{n}", "sweep", str(n), own, n)
        tracker = Journal(folder / str(n))
        runs.append(Run(experiment=experiment, identity=identity, tracker=tracker))
    assert all(isinstance(outcome, Result) for _, outcome in execute(runs, ROOT))


def walked(session: Session) -> Tensor:
    """Return the points of a run's steps, with its start."""
    points = [session.params.vector.clone()]
    for step in engine.steps(session):
        points.append(session.params.vector.clone())
        if step.t == session.total_steps:
            return torch.stack(points).double()
    raise AssertionError("a run has a last step")


def test_the_start_and_every_step_are_recorded(tmp_path: Path) -> None:
    assert scenes.train(tmp_path / "run", PLANE) == "finished"
    rows = path_of(tmp_path / "run")
    assert rows[:, 0].tolist() == list(range(31))
    assert rows[:, 1:].equal(walked(session()))


def test_a_model_of_other_parameters_has_no_path(tmp_path: Path) -> None:
    scenes.train(tmp_path / "run", [*PLANE, "dataset.features=2", "epochs=1"])
    assert len(path_of(tmp_path / "run")) == 0


def test_a_run_that_begins_anew_records_its_start_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    scenes.train(folder, PLANE)
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    scenes.train(folder, PLANE, resume=True)
    scenes.numbers(folder)
    assert len(path_of(folder)) == 31


def test_lanes_have_the_paths_of_their_own_runs(tmp_path: Path) -> None:
    together(tmp_path, [["optimizer.lr=0.01"], ["optimizer.lr=0.1"]])
    for n, rate in enumerate((0.01, 0.1)):
        alone = walked(session(f"optimizer.lr={rate}"))
        torch.testing.assert_close(path_of(tmp_path / str(n))[:, 1:], alone, rtol=1e-5, atol=1e-6)


def test_a_program_is_of_one_step() -> None:
    assert Program(session("device.compile=true", "log_every=10")).length == 1
    assert Program(session("dataset.features=2", "device.compile=true", "log_every=10")).length > 1


def test_a_run_has_a_picture_of_its_path_and_a_table(tmp_path: Path) -> None:
    done = experiments.run(*PLANE, "tracking=offline", output=tmp_path)
    assert done.folder is not None
    figures = done.folder / "figures"
    assert (figures / "path.png").stat().st_size > 10_000
    header, *lines = (figures / "path.csv").read_text().splitlines()
    assert header == "step,weights,bias"
    rows = torch.tensor([[float(cell) for cell in line.split(",")] for line in lines])
    assert rows.double().equal(path_of(done.folder).float().double())


def test_a_run_that_diverged_has_a_picture_too(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        scenes.train(tmp_path / "run", [*PLANE, "optimizer.lr=1e9", "tracking.figures=true"])
    assert (tmp_path / "run" / "figures" / "path.png").stat().st_size > 10_000


def test_the_contour_is_of_the_loss_on_the_train_split() -> None:
    own = session()
    path = walked(own)
    contour = landscape.contour(own, [path])
    inputs, targets = own.batches["train"].first(100)
    x, y = contour.xs[20].float(), contour.ys[70].float()
    wanted = (inputs[:, 0] * x + y - targets).square().mean()
    torch.testing.assert_close(contour.values[70, 20].float(), wanted)
    assert contour.names == ("weights", "bias")
    for n, ends in enumerate((contour.xs, contour.ys)):
        assert ends[0] < path[:, n].min()
        assert ends[-1] > path[:, n].max()


def test_a_contour_leaves_out_where_a_run_diverges_to() -> None:
    own = session("optimizer.lr=1.5")
    path = walked(own)
    assert path.abs().max() > 1e3
    contour = landscape.contour(own, [path])
    assert contour.xs.abs().max() < 10
    assert contour.values.isfinite().all()


def test_the_loss_of_a_model_that_decides_on_values_is_computed_point_by_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, points = session(), torch.rand(5, 2)
    wanted = landscape.losses(own, points)

    def refusing(*_: object, **__: object) -> None:
        raise RuntimeError("vmap: it looks like you are calling .item() on a Tensor")

    monkeypatch.setattr(landscape, "vmap", refusing)
    torch.testing.assert_close(landscape.losses(own, points), wanted)
