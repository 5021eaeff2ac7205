"""Where a rule says so, models are evaluated, kept and exported elsewhere than they train."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import ROOT, compose
from torch import nn
from torch.utils.data import TensorDataset

from experiments import DataSpec, Model, register, tensorfile
from experiments.api import script
from experiments.training import engine, lanes
from experiments.training.evaluation import evaluate, pointed
from experiments.training.session import Session, prepare

RUN = ["dataset=digits", "model=normalised", "transform=[ema]", "transform.ema.decay=0.9"]
EXACT = ["device=cpu", "tracking=none", "device.precision=fp64", "device.memory_format=contiguous"]


@pytest.fixture(autouse=True)
def _normalised(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("own_registry")

    @register("normalised")
    class Normalised(Model):
        """A layer whose outputs are normalised over a batch, and some of them left out."""

        def build(self, spec: DataSpec) -> nn.Module:
            layers = [nn.Flatten(), nn.Linear(spec.features, 12), nn.BatchNorm1d(12), nn.ReLU()]
            return nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(12, spec.outputs))


def trained(*overrides: str, steps: int = 30) -> tuple[Session, Any]:
    session = prepare(compose([*RUN, *EXACT, *overrides]))
    for step in engine.steps(session):
        if step.t == steps:
            return session, step.state
    raise AssertionError("the steps are too few")


def test_statistics_are_those_of_training_batches_at_the_evaluated_parameters() -> None:
    session, state = trained()
    before = {name: tensor.clone() for name, tensor in session.trained.items()}
    random = torch.get_rng_state()
    shown = pointed(session, state)
    assert shown.params.vector.equal(state["ema"]["average"])
    means, variances = [], []
    for inputs, _ in session.batches["train"].epoch(1, [0]):
        values = nn.functional.linear(
            inputs.flatten(1), shown.params.tensors["1.weight"], shown.params.tensors["1.bias"]
        )
        means.append(values.mean(0))
        variances.append(values.var(0))
    found = shown.model.buffers
    assert len(means) == 40  # of the first epoch, as 50 are more than it has
    torch.testing.assert_close(found["2.running_mean"], torch.stack(means).mean(0))
    torch.testing.assert_close(found["2.running_var"], torch.stack(variances).mean(0))
    assert not found["2.running_mean"].equal(before["2.running_mean"])
    # Training goes on as if nobody had looked.
    assert torch.get_rng_state().equal(random)
    assert all(session.trained[name].equal(tensor) for name, tensor in before.items())
    norms = [m for m in session.model._network.modules() if isinstance(m, nn.BatchNorm1d)]  # type: ignore[union-attr]
    assert [norm.momentum for norm in norms] == [0.1]


def test_a_rule_that_trains_where_it_is_evaluated_keeps_its_session() -> None:
    session = prepare(compose([*RUN[:2], *EXACT]))
    assert pointed(session, session.state) is session


def test_lanes_are_evaluated_as_each_run_alone() -> None:
    base = compose([*RUN, *EXACT, "optimizer=momentum"])
    experiments = [
        dataclasses.replace(base, optimizer=dataclasses.replace(base.optimizer, lr=lr))
        for lr in (0.01, 0.03)
    ]
    together = lanes.in_lanes(prepare(base), experiments)
    together.model.train(False)  # without dropout, whose numbers lanes draw together
    found = evaluate(pointed(together, together.state), "val")
    for own, experiment in zip(found, experiments, strict=True):
        alone = prepare(experiment)
        (wanted,) = evaluate(pointed(alone, alone.state), "val")
        assert own == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize("multirun", [False, pytest.param(True, marks=pytest.mark.whole)])
def test_what_is_kept_and_exported_is_what_was_evaluated(multirun: bool, tmp_path: Path) -> None:
    lines = [*RUN, "device=cpu", "epochs=3", "tracking=offline", f"output={tmp_path}"]
    if multirun:
        run = script.sweep(*lines, "optimizer.lr=0.05,0.1", root=ROOT)[0]
    else:
        run = script.run(*lines, root=ROOT)
    assert run.folder is not None
    best, _ = tensorfile.load(run.folder / "checkpoints" / "best.safetensors")
    session = prepare(compose([*RUN[:2], "device=cpu", "tracking=none"]))
    test = session.splits.test
    assert isinstance(test, TensorDataset)
    inputs, targets = test.tensors
    accuracy = (run.model(inputs).argmax(1) == targets).float().mean().item()
    assert accuracy == pytest.approx(run.metrics["test/accuracy"], abs=1e-6)
    last, _ = tensorfile.load(run.folder / "checkpoints" / "last.safetensors")
    vector = torch.cat([last[f"params/{n}"].flatten() for n in session.params.tensors])
    torch.testing.assert_close(vector, last["state/ema/average"], rtol=0, atol=0)
    assert not last["trained/params/1.weight"].equal(last["params/1.weight"])
    assert not last["trained/buffers/2.running_mean"].equal(last["buffers/2.running_mean"])
    assert best.keys() == {
        name for name in last if name.split("/")[0] in ("params", "buffers", "spec")
    }


@pytest.mark.whole
def test_a_run_goes_on_from_where_it_was_trained_and_not_evaluated(tmp_path: Path) -> None:
    def run(epochs: int, *more: str) -> dict[str, float]:
        lines = [*RUN, "device=cpu", "tracking=offline", f"epochs={epochs}", *more]
        return dict(script.run(*lines, root=ROOT).metrics)

    run(2, f"output={tmp_path / 'parts'}")
    (folder,) = (path.parent for path in (tmp_path / "parts").glob("*/checkpoints"))
    again = run(4, f"output={tmp_path / 'parts'}", f"resume={folder}", "resume_changed=true")
    assert again == run(4, f"output={tmp_path / 'whole'}")
