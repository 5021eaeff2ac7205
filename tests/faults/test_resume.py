"""A run that is stopped and goes on is, to the bit, the run that was never stopped."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scenes

from experiments import registry, signals

RULES = sorted(registry.plugins("optimizer"))
SCHEDULES = sorted(registry.plugins("schedule"))
FEATURES = {
    "dropout": ["model=cnn", "model.dropout=0.5", "max_steps=30"],
    "buffers": ["model=resnet18", "max_steps=5", "batch_size=8"],
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


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    signals.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, feature: str
) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, FEATURES[feature], [2, 4])


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"optimizer={rule}"], [13])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    stopped_and_resumed(tmp_path, monkeypatch, [f"schedule={schedule}"], [13])
