"""A run whose numbers are not finite: status 3, what went wrong, and only finite checkpoints."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scenes
import torch
from composed import ROOT

from experiments import tensorfile
from experiments.cli import main
from experiments.runs import checkpoints, journal

PLUGINS = '''
import torch
from torch import Tensor
from experiments import Metric, Network, Model, Optimizer, State, Task, number, register

@register("breaking")
class Breaking(Optimizer):
    """Steps along the gradient, and from step `at` on to a value that is not finite."""

    lr: float = number(0.01, at_least=0)
    at: float = number(10.0, at_least=1)

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        first = torch.arange(grad.numel()) == 0
        return torch.where(first & (t >= self.at), torch.inf, self.lr * grad), state

@register("undefined")
class Undefined(Metric):
    """Is NaN."""

    tasks = frozenset({Task.classification})

    def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.full((1,), torch.nan)

    def value(self, total: Tensor) -> Tensor:
        return total.sum()
'''
pytestmark = pytest.mark.usefixtures("own_registry")
OFTEN = ["checkpoint.unit=step", "checkpoint.every=4", "log_every=25"]


@pytest.fixture
def plugins(tmp_path: Path) -> str:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "breaking_plugins.py").write_text(PLUGINS)
    return f"plugin_path=[{folder}]"


def run(output: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, Path]:
    status = main.command(ROOT, [*scenes.QUICK, *OFTEN, *arguments, f"output={output}"])
    said = capsys.readouterr().err
    (path,) = output.glob(f"*/{journal.FILE}")
    return status, said, path.parent


def events(folder: Path) -> Iterator[dict[str, Any]]:
    return (event for event, _ in journal.read(folder / journal.FILE))


@pytest.mark.parametrize("resumable", [True, False])
def test_a_parameter_that_is_not_finite_is_named_with_its_step(
    tmp_path: Path, plugins: str, resumable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [] if resumable else ["checkpoint.unit=minute", "checkpoint.every=60"]
    status, said, folder = run(
        tmp_path / "runs", plugins, "optimizer=breaking", "model=mlp", *more, capsys=capsys
    )
    assert status == 3
    assert said.count("\n") == 1
    assert "The loss is nan at step 11" in said
    wanted = "weights1 (inf) was the first that was not finite, after step 10, which "
    assert f"{wanted}optimizer=breaking made of finite gradients." in said
    assert "Traceback" in (folder / "error.txt").read_text()
    assert json.loads((folder / "result.json").read_text())["status"] == "diverged"
    assert list(events(folder))[-1]["status"] == "FAILED"
    kept = list((folder / checkpoints.FOLDER).glob("*.safetensors"))
    assert bool(kept) == resumable
    for path in kept:
        tensors, facts = tensorfile.load(path)
        assert facts["step"] < 10
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_loss_that_grows_beyond_all_numbers_names_the_largest_parameter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["dataset=synthetic", "dataset.task=regression", "optimizer.lr=1e4"]
    status, said, folder = run(tmp_path / "runs", *wanted, capsys=capsys)
    losses = {
        step: value
        for (name, step), value in scenes.numbers(folder).items()
        if name == "train/loss"
    }
    first = min(step for step, value in losses.items() if not math.isfinite(value))
    assert status == 3
    assert f"at step {first};" in said
    assert "All parameters were finite until then; weights" in said


def test_an_undefined_metric_stops_a_run_that_it_decides(
    tmp_path: Path, plugins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [plugins, "metric=[accuracy,undefined]"]
    status, said, _ = run(tmp_path / "one", *wanted, "monitor=val/undefined", capsys=capsys)
    assert (status, "val/undefined is nan after step" in said) == (3, True)
    status, _, folder = run(tmp_path / "two", *wanted, "monitor=val/accuracy", capsys=capsys)
    assert status == 0
    found = [v for (name, _), v in scenes.numbers(folder).items() if name == "val/undefined"]
    assert found
    assert all(map(math.isnan, found))


def test_a_run_may_go_on_and_records_what_is_not_finite(
    tmp_path: Path, plugins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [plugins, "optimizer=breaking", "optimizer.at=30", "stop_on_divergence=false"]
    status, said, folder = run(tmp_path / "runs", *wanted, capsys=capsys)
    assert status == 0, said
    losses = [v for (name, _), v in sorted(scenes.numbers(folder).items()) if name == "train/loss"]
    assert all(map(math.isfinite, losses[:30]))
    assert all(map(math.isnan, losses[30:]))
    assert len(losses) == max(step for _, step in scenes.numbers(folder))
    for path in (folder / checkpoints.FOLDER).glob("*.safetensors"):
        tensors, _ = tensorfile.load(path)
        vector = torch.cat(
            [t.flatten().double() for k, t in tensors.items() if k.startswith("params/")]
        )
        assert vector.isfinite().all(), path


def test_in_a_sweep_it_is_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["dataset=synthetic", "dataset.task=regression", "optimizer.lr=0.01,1e4"]
    status = main.command(ROOT, ["-m", *scenes.QUICK, *wanted, f"output={tmp_path}"])
    assert status == 0, capsys.readouterr().err
    (sweep,) = tmp_path.glob("*-sweep")
    found = [json.loads((sweep / job / "result.json").read_text())["status"] for job in "01"]
    assert found == ["finished", "diverged"]
    assert list(events(sweep))[-1]["status"] == "FINISHED"
