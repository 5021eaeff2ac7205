"""A run that is stopped and goes on is, to the bit, the run that was never stopped."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import scenes
import torch
from composed import compose
from torch import nn

from experiments import DataSpec, Model, Scope, tensorfile
from experiments.plugin import registry
from experiments.runs.checkpoints import Content
from experiments.training import checkpoint, engine
from experiments.training.checkpoint import Point
from experiments.training.lanes import in_lanes
from experiments.training.program import inductor
from experiments.training.session import Session, prepare

# Those that take any parameters and any batches; tests/training/test_checkpoint.py has them all.
RULES = ["muon_adamw"] + [
    name
    for name, rule in sorted(registry.plugins("optimizer").items())
    if name != "route" and rule.scope is Scope.vector and not rule.full_batch
]
SCHEDULES = sorted(registry.plugins("schedule"))
LANES = [3, 4, 5]
FEATURES = {
    "dropout": ["model=cnn", "model.dropout=0.5", "max_steps=30"],
    "buffers": ["model=resnet18", "dataset=fake", "dataset.items=24", "batch_size=4"],
    "augmentation": ["augment=[noise,random_crop,mixup]"],
    "loader": ["dataset.resident=false"],
    "workers": ["dataset.resident=false", "data.workers=2"],
    "accumulation": ["accumulate=3"],
    "patience": ["early_stopping.patience=2", "evaluate.unit=step", "evaluate.every=3"],
    "target": ["early_stopping.target=0.9", "evaluate.unit=step", "evaluate.every=4"],
    "transforms": ["transform=[clip_norm,weight_decay]", "optimizer=adam"],
    "float64": ["device.precision=fp64", "model=mlp"],
    "metrics": ["evaluate.train=true", "metric=[f1,accuracy]"],
    "two parameters": ["dataset=synthetic", "dataset.features=1", "dataset.items=400"],
    "beta schedule": ["optimizer=adam", "+schedule@schedules.beta1=polynomial"],
}


def stopped_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: list[str], at: list[int]
) -> None:
    """Compare a run with one that is stopped after steps and goes on each time."""
    scenes.train(tmp_path / "whole", overrides)
    expected = scenes.outcome(tmp_path / "whole")
    folder = tmp_path / "stopped"
    for count, t in enumerate(at):
        with monkeypatch.context() as patched:
            scenes.interrupted_at(patched, t)
            assert scenes.train(folder, overrides, resume=count > 0) == "interrupted"
    assert scenes.train(folder, overrides, resume=True) == "finished"
    found = scenes.outcome(folder)
    for part, value in expected.items():
        assert scenes.same(value, found[part]), part


@pytest.mark.whole
def test_it_does_not_matter_at_which_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int]
) -> None:
    overrides = ["optimizer=adam", "evaluate.unit=step", "evaluate.every=5"]
    scenes.train(tmp_path / "whole", overrides)
    expected = scenes.outcome(tmp_path / "whole")
    last = max(step for _, step in scenes.numbers(tmp_path / "whole"))
    for t in range(1, last + 1, -(-last // rounds(last, 5))):
        folder = tmp_path / str(t)
        with monkeypatch.context() as patched:
            scenes.interrupted_at(patched, t)
            assert scenes.train(folder, overrides) == "interrupted"
        assert scenes.train(folder, overrides, resume=True) == "finished"
        assert scenes.same(scenes.outcome(folder), expected), t


def test_what_is_measured_of_steps_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stopped before a step that is measured, after it, and where neither is near.
    measured = ["diagnostics.every=4", "diagnostics.noise_scale=true", "diagnostics.sharpness=true"]
    overrides = ["model=mlp", "model.hidden=[5]", "optimizer=adam", *measured]
    stopped_and_resumed(tmp_path, monkeypatch, overrides, [3, 4, 6, 8])
    whole, parts = (
        (tmp_path / run / "diagnostics.csv").read_text() for run in ("whole", "stopped")
    )
    assert parts == whole
    assert len(whole.splitlines()) > 4 * 5


@pytest.mark.parametrize(
    "feature",
    [pytest.param(name, marks=[pytest.mark.whole] * (name == "buffers")) for name in FEATURES],
)
def test_every_feature_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feature: str
) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, FEATURES[feature], [2, 4])


@pytest.mark.usefixtures("own_registry")
def test_running_statistics_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @registry.register("normed")
    class Normed(Model):
        """Has buffers, as `resnet18`, and few parameters."""

        def build(self, spec: DataSpec) -> nn.Module:
            layers = nn.Linear(spec.features, 8), nn.BatchNorm1d(8), nn.Linear(8, spec.outputs)
            return nn.Sequential(nn.Flatten(), *layers)

    stopped_and_resumed(tmp_path, monkeypatch, ["model=normed"], [2, 4])


def test_a_compiled_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: Callable[[int, int], int]
) -> None:
    if not rounds(1, 0):
        monkeypatch.setattr(inductor, "compiled", lambda function, *_, **__: function)
    stopped_and_resumed(tmp_path, monkeypatch, ["device.compile=true"], [20])


def test_lanes_go_on(tmp_path: Path) -> None:
    whole = lanes_of_seeds()
    expected = [step.losses for step in engine.steps(whole)]
    first, contents = lanes_of_seeds(), list[Content]()
    for step in engine.steps(first):
        if step.t == 25:
            point = Point(step, [step.losses], {}, 0.0)
            for place in range(len(LANES)):
                path = tmp_path / f"{place}.safetensors"
                tensorfile.save(path, *checkpoint.of_run(first, point, "lane", place=place))
                contents.append(tensorfile.load(path))
            break
    again = lanes_of_seeds()
    point = checkpoint.bring_back(again, contents)
    assert point.losses[0].equal(expected[24])
    again = dataclasses.replace(again, state=point.step.state)
    found = [step.losses for step in engine.steps(again, point.step.t)]
    assert torch.cat(expected[25:]).equal(torch.cat(found))
    assert again.params.vector.equal(whole.params.vector)


def lanes_of_seeds() -> Session:
    """Prepare a session whose lanes differ in seed and learning rate."""
    settings = [*scenes.QUICK, "model=mlp", "optimizer=adam", "output=/nowhere"]
    made = [compose([*settings, f"seed={n}", f"optimizer.lr={0.01 / n}"]) for n in LANES]
    return in_lanes(prepare(made[0]), made)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"optimizer={rule}"], [13])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"schedule={schedule}"], [13])
