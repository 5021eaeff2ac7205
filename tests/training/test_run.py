"""A run: when it stops, what it keeps, and that it is the same each time."""

from pathlib import Path
from typing import Any

import pytest
import torch
from composed import ROOT, SMALL, compose, execute

from experiments.runs import journal
from experiments.runs.journal import Journal
from experiments.runs.result import Result
from experiments.runs.tracker import InMemory, Tracker
from experiments.training import handover
from experiments.training.session import Session, prepare


class Remembering(Tracker):
    """Keeps the events in a list."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, **fields})

    def close(self) -> None:
        pass


def session(*overrides: str) -> Session:
    return prepare(compose(["device=cpu", "tracking=none", *overrides]))


def finished(*overrides: str, tracker: Tracker | None = None) -> tuple[Result, torch.Tensor]:
    prepared = session(*overrides)
    result = execute(prepared.experiment, tracker or InMemory(), session=prepared)
    return result, prepared.params.vector


@pytest.mark.parametrize(
    ("overrides", "reason", "step"),
    [
        (["epochs=2"], "epochs=2", 80),
        (["max_steps=7"], "max_steps=7", 7),
        (["epochs=2", "accumulate=4"], "epochs=2", 20),
        (["early_stopping.target=0.8"], "val/accuracy reached 0.8", 40),
        (["optimizer.lr=0", "early_stopping.patience=3"], "val/accuracy was not better", 160),
        (["time_limit=1e-9"], "time_limit=1e-09", 1),
        (["monitor=val/loss", "early_stopping.target=1"], "val/loss reached 1", 40),
    ],
)
def test_a_run_stops_for_its_reason(overrides: list[str], reason: str, step: int) -> None:
    result, _ = finished(*overrides)
    assert result.reason.startswith(reason)
    assert result.step == step


def test_the_val_split_is_evaluated_every_few_steps_and_at_the_end() -> None:
    tracker = Remembering()
    overrides = ["evaluate.unit=step", "evaluate.every=3", "max_steps=8", "evaluate.train=true"]
    finished(*overrides, tracker=tracker)
    evaluations = [e for e in tracker.events if "val/loss" in e.get("values", {})]
    assert [event["step"] for event in evaluations] == [3, 6, 8]
    assert all("train/accuracy" in event["values"] for event in evaluations)


def test_every_loss_is_recorded_once() -> None:
    tracker = Remembering()
    finished("max_steps=23", "log_every=5", tracker=tracker)
    series = [event for event in tracker.events if event["event"] == "series"]
    steps = [e["first"] + k for e in series for k in range(len(e["values"]["train/loss"]))]
    assert steps == list(range(1, 24))
    assert tracker.events[0]["event"] == "start"
    assert tracker.events[-1] == {"event": "end", "status": "FINISHED"}


@pytest.mark.parametrize("overrides", [["model=mlp"], ["model=cnn", "model.dropout=0.5"]])
@pytest.mark.whole
def test_a_seed_gives_the_same_run_by_memory_and_by_loader(overrides: list[str]) -> None:
    first, vector = finished("epochs=1", *overrides)
    again, same = finished("epochs=1", "dataset.resident=false", *overrides)
    assert first.metrics == again.metrics
    assert vector.equal(same)
    _, other = finished("epochs=1", "seed=1", *overrides)
    assert not vector.equal(other)


def test_a_regression_comes_near_its_known_optimum() -> None:
    tracker = Remembering()
    wanted = ["dataset=synthetic", "dataset.task=regression", "epochs=60", "evaluate.train=true"]
    finished(*wanted, "optimizer.lr=0.02", "schedule=cosine", tracker=tracker)
    values = [event["values"] for event in tracker.events if event["event"] == "metrics"]
    (optimum,) = (one["optimum"] for one in values if "optimum" in one)
    last = [one["train/mean_loss"] for one in values if "train/mean_loss" in one][-1]
    assert optimum * (1 - 1e-5) <= last <= optimum * 1.02


def test_a_network_with_buffers_is_trained_and_brought_back() -> None:
    result, _ = finished("model=resnet18", "max_steps=2", "batch_size=8")
    assert result.step == 2


@pytest.mark.parametrize(("dataset", "dtype"), [("digits", torch.float32), ("fake", torch.uint8)])
def test_picturethat_use_little_of_a_byte_are_drawn_between_their_extremes(
    dataset: str, dtype: torch.dtype
) -> None:
    session = prepare(compose([f"dataset={dataset}", "tracking=none"]))
    assert handover._stored(session, 3).dtype == dtype


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        (["optimizer.lr=0", "dataset.task=classification"], "always answering '"),
        (
            ["optimizer.lr=1e-9", "dataset.task=regression", "monitor=val/r2"],
            "the mean of the targets",
        ),
    ],
)
def test_a_run_that_has_learnt_nothing_says_so(
    overrides: list[str], answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    finished(*SMALL, "epochs=1", *overrides)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert "is no better than" in told[0]
    assert answer in told[0]


def test_a_run_that_has_learnt_something_has_no_doubts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    finished(*SMALL, "epochs=60", "dataset.task=classification")
    assert "no better than" not in caplog.text
    line = next(text for text in caplog.text.splitlines() if "data     " in text)
    assert line.endswith("70 train, 15 val, 15 test items; inputs [4]; classification of 3 classes")


def test_a_run_keeps_the_code_of_every_plugin_that_it_uses(tmp_path: Path) -> None:
    prepared = session("max_steps=1", "augment=[cutout]", "tracking=offline")
    execute(prepared.experiment, Journal(tmp_path), session=prepared)
    files = {str(p.relative_to(tmp_path)) for p in (tmp_path / "source").rglob("*.py")}
    wanted = {"optimizer/sgd", "augment/cutout", "augment/_images", "dataset/digits"}
    wanted |= {"model/linear", "loss/cross_entropy", "metric/accuracy", "schedule/constant"}
    assert {f"source/plugins/{name}.py" for name in wanted} <= files
    for name in files:
        assert (tmp_path / name).read_bytes() == (ROOT / name.partition("/")[2]).read_bytes()
    events = [event for event, _ in journal.read(tmp_path / journal.FILE)]
    assert files <= {event["path"] for event in events if event["event"] == "artifact"}
    assert [p.name for p in (tmp_path / "code").rglob("*.py")] == ["linear.py"]
