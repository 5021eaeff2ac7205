"""Runs that an error has stopped together: which begin again with which, and who is named."""

from pathlib import Path

import pytest
from composed import ROOT, SMALL, compose

from experiments.plugin.discovery import import_file
from experiments.runs.provenance import Identity
from experiments.runs.result import Result
from experiments.runs.tracker import InMemory
from experiments.settings import Experiment
from experiments.sweeps import probe
from experiments.training import restart
from experiments.training.run import Run, execute

VALUED = """
from experiments import Loss, Metric, Optimizer, Task, Transform, register

class Clock:
    calls = 0

def asks(tensor, way):
    Clock.calls += 1
    if Clock.calls >= 5:
        if way == "item":
            tensor.sum().item()
        if way == "branch" and tensor.sum() > 0:
            pass
        if way == "fails":
            {}["a"]

@register("valued")
class ValuedRule(Optimizer):
    lr: float = 0.1
    way: str = "item"

    def update(self, grad, param, state, t):
        asks(grad, self.way)
        return self.lr * grad, state

@register("valued")
class ValuedTransform(Transform):
    def on_gradient(self, grad, param, state):
        asks(grad, "branch")
        return grad, state

@register("valued")
class ValuedLoss(Loss):
    tasks = frozenset(Task)

    def __call__(self, outputs, targets):
        asks(outputs, "item")
        return outputs.square().mean()

@register("valued")
class ValuedMetric(Metric):
    tasks = frozenset(Task)

    def statistics(self, outputs, targets):
        return outputs.sum().reshape(1)

    def value(self, total):
        return total[0] if total[0] > 0 else -total[0]
"""


@pytest.fixture
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    request.getfixturevalue("own_registry")
    (tmp_path / "valued.py").write_text(VALUED)
    import_file(tmp_path / "valued.py")


def experiments(*overrides: str) -> list[Experiment]:
    lines = [*SMALL, "device=cpu", "tracking=none", "max_steps=8", *overrides]
    return [compose([*lines, f"optimizer.lr={lr}"]) for lr in (0.1, 0.2)]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["optimizer=valued"], "optimizer=valued cannot train in lanes: it needs a tensor's value"),
        (["optimizer=valued", "optimizer.way=branch"], "valued.py:12: `if way =="),
        (["transform=[valued]"], "transform=valued cannot train in lanes"),
        (["loss=valued"], "loss=valued cannot train in lanes"),
        (
            ["optimizer=valued", "optimizer.way=fails"],
            "optimizer=valued cannot train in lanes: Key",
        ),
    ],
)
def test_a_plugin_that_stops_lanes_is_named_and_its_runs_go_one_by_one(
    overrides: list[str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [
        Run(
            experiment=experiment,
            identity=Identity(f"id.{place}", None, "name", []),
            tracker=InMemory(),
        )
        for place, experiment in enumerate(experiments(*overrides))
    ]
    outcomes = [outcome for _, outcome in execute(runs, ROOT)]
    fails = "optimizer.way=fails" in overrides
    assert [isinstance(outcome, Result) for outcome in outcomes] == [not fails] * 2
    (line,) = (r.getMessage() for r in caplog.records if r.name == restart.__name__)
    assert line.startswith("2 runs go one by one: ")
    assert told in line


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["optimizer=valued"], "optimizer=valued cannot train in lanes: it needs a tensor's value"),
        (["metric=[valued]"], "metric=valued cannot train in lanes: it needs a tensor's value"),
        (["optimizer=valued", "optimizer.way=fails"], "the first fails: optimizer=valued: KeyErr"),
    ],
)
@pytest.mark.whole
def test_the_probe_names_the_plugin_and_not_the_model(
    overrides: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = probe.parts(experiments(*overrides), 8, probe=True)
    assert [len(part) for part in parts] == [1] * 2
    assert f"2 alone: {told}" in capsys.readouterr().out
