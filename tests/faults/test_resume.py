"""A run that is stopped and goes on is, to the bit, the run that was never stopped."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scenes
import torch
from composed import compose
from torch import nn
from torch.func import vmap

from experiments import DataSpec, Model, tensorfile
from experiments.plugin import registry
from experiments.rules.params import Params
from experiments.rules.rule import Rule
from experiments.training import checkpoint
from experiments.training.checkpoint import Point
from experiments.training.forward import Forward
from experiments.training.loop import Step, descend
from experiments.training.program import inductor
from experiments.training.session import Session, build_network, prepare

RULES = sorted(registry.plugins("optimizer"))
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
    whole = in_lanes()
    expected = [step.losses for step in steps_in_lanes(whole)]
    first, path = in_lanes(), tmp_path / "lanes.safetensors"
    for step in steps_in_lanes(first):
        if step.t == 25:
            tensorfile.save(
                path, *checkpoint.of_run(first, Point(step, [step.losses], {}, 0, 0.0), {}, "lanes")
            )
            break
    again = in_lanes()
    point = checkpoint.bring_back(again, *tensorfile.load(path))
    found = [step.losses for step in steps_in_lanes(again, point)]
    assert torch.cat(expected[25:]).equal(torch.cat(found))
    assert again.params.vector.equal(whole.params.vector)


def in_lanes() -> Session:
    """Prepare a session whose lanes differ in seed and learning rate."""
    session = prepare(compose([*scenes.QUICK, "model=mlp", "optimizer=adam", "output=/nowhere"]))
    experiment = session.experiment
    seeds = [dataclasses.replace(experiment, seed=seed) for seed in LANES]
    networks = [build_network(one, session.splits.spec) for one in seeds]
    params = Params(networks, session.device, torch.float32)
    rule = Rule(
        params,
        [dataclasses.replace(experiment.optimizer, lr=0.01 / seed) for seed in LANES],
        {},
        {"lr": [experiment.schedule] * len(LANES)},
        total_steps=session.total_steps,
        steps_per_epoch=session.steps_per_epoch,
    )
    model, state = Forward(networks, params), rule.init(params.vector)
    return dataclasses.replace(session, params=params, rule=rule, model=model, state=state)


def steps_in_lanes(session: Session, point: Point | None = None) -> Iterator[Step]:
    after, state = (point.step.t, point.step.state) if point else (0, session.state)
    done, within = divmod(after, session.steps_per_epoch)
    train = session.batches["train"]
    batches = (
        [batch]
        for epoch in range(done + 1, session.experiment.epochs + 1)
        for batch in train.epoch(epoch, LANES, within if epoch == done + 1 else 0)
    )
    loss_fn, params = vmap(session.loss_fn), session.params
    return descend(session.model, loss_fn, session.rule, params, state, batches, first=after + 1)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"optimizer={rule}"], [13])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"schedule={schedule}"], [13])
