"""The steps of a run: a program takes the steps of the plain loop, and ends where it looks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
import torch
from captured import traced
from composed import SMALL, compose
from fitting import settings_for
from objectives import OBJECTIVES
from torch import Tensor, nn

from experiments import DataSpec, Model, Optimizer, State, plugins, register
from experiments.errors import CaptureError
from experiments.training import engine
from experiments.training.loop import Step
from experiments.training.program import inductor
from experiments.training.program.program import Program
from experiments.training.session import Session, prepare

EXACT = ["device=exact", "tracking=none"]
IN_PROGRAMS = [
    (kind, name)
    for kind in ("optimizer", "transform")
    for name, plugin in plugins(kind).items()
    if plugin.in_programs
]
IMAGES = ["dataset=fake", "dataset.items=120", "batch_size=16"]


@pytest.fixture
def _captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inductor, "compiled", traced)


def trained(*overrides: str, steps: int = 60) -> tuple[Session, list[Step]]:
    """Take steps, as the runner does, and return what they leave behind."""
    session = prepare(compose([*EXACT, f"max_steps={steps}", "epochs=100", *overrides]))
    torch.manual_seed(7)
    session.model.train()
    taken = []
    for step in engine.steps(session):
        taken.append(step)
        if step.t == steps:
            break
    return session, taken


def losses(steps: Sequence[Step]) -> Tensor:
    return torch.cat([step.losses for step in steps])


def same(*overrides: str, tolerance: float = 1e-10, steps: int = 60) -> None:
    """Check that a run whose steps a program takes is that of the plain loop."""
    session, plain = trained(*overrides, steps=steps)
    with patch.object(Program, "run", autospec=True, side_effect=Program.run) as run:
        other, program = trained(*overrides, "device.compile=true", steps=steps)
    assert run.call_count > 1
    wanted = session.params.vector
    scale = wanted.abs().max()
    assert (other.params.vector - wanted).abs().max() <= tolerance * scale
    assert (losses(program) - losses(plain)).abs().max() <= tolerance * losses(plain).abs().max()
    for name, buffer in session.model.buffers.items():
        torch.testing.assert_close(
            other.model.buffers[name], buffer, rtol=tolerance, atol=tolerance
        )


# One of each sort in every run of the tests.
SORTS = {"adam", "muon", "prodigy", "schedule_free_adamw", "route", "sam", "ema"}


@pytest.mark.usefixtures("matrices", "_captured")
@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(*own, marks=[pytest.mark.whole] * (own[1] not in SORTS)) for own in IN_PROGRAMS],
)
def test_a_captured_rule_is_the_plain_one(kind: str, name: str) -> None:
    clipped = ["transform=[clip_norm]"] if kind == "optimizer" else []
    same(*settings_for(kind, name), "schedule=cosine", *clipped, steps=30)


@pytest.mark.usefixtures("matrices")
@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param(*own, marks=[pytest.mark.whole] * (own[1] != "sam")) for own in IN_PROGRAMS],
)
def test_a_compiled_rule_is_the_plain_one(kind: str, name: str) -> None:
    same(*settings_for(kind, name), "log_every=1", steps=20)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.whole] * (name != "lbfgs"))
        for name, own in plugins("optimizer").items()
        if not own.in_programs
    ],
)
def test_a_rule_that_cannot_be_compiled_is_named_and_trains_all_the_same(name: str) -> None:
    overrides = settings_for("optimizer", name)
    with pytest.warns(UserWarning, match=f"optimizer={name} cannot be part of a program"):
        session, _ = trained(*overrides, "device.compile=true")
    assert session.params.vector.equal(trained(*overrides)[0].params.vector)


@pytest.mark.usefixtures("_captured")
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=[pytest.mark.whole] * (name not in ("cnn", "mlp")))
        for name in sorted({*plugins("model")} - {"dynamic", "resnet18"})
    ],
)
def test_a_captured_model_is_the_plain_one(model: str) -> None:
    data = OBJECTIVES.get(model, [*IMAGES, "dataset.size=16"])
    rate = ["optimizer.lr=0.001"] if model in OBJECTIVES else []
    same(*data, f"model={model}", "optimizer=momentum", *rate, steps=30)


@pytest.mark.usefixtures("_captured")
@pytest.mark.parametrize(
    "overrides",
    [
        ["augment=[random_crop,horizontal_flip,cutout,noise,mixup]"],
        ["dataset.resident=false"],
        *(
            pytest.param(overrides, marks=pytest.mark.whole)
            for overrides in (
                ["accumulate=3", "batch_size=5"],
                ["loss.label_smoothing=0.1", "loss=cross_entropy"],
                ["device.memory_format=contiguous"],
                ["model.dropout=0.3"],
            )
        ),
    ],
)
def test_a_captured_step_is_the_plain_one_with(overrides: list[str]) -> None:
    base = [*IMAGES, "model=cnn", "model.channels=[4]", "optimizer=adam", "log_every=10"]
    same(*base, *overrides, steps=30)


@pytest.mark.usefixtures("own_registry", "_captured")
def test_running_statistics_are_changed_in_place() -> None:
    @register("normed")
    class Normed(Model):
        """A network with BatchNorm."""

        def build(self, spec: DataSpec) -> nn.Module:
            return nn.Sequential(
                nn.Flatten(),
                nn.Linear(spec.features, 5),
                nn.BatchNorm1d(5),
                nn.Linear(5, spec.outputs),
            )

    same(*SMALL, "model=normed")


@pytest.mark.usefixtures("own_registry", "_captured")
def test_a_rule_may_name_its_memory_in_any_order() -> None:
    @register("turning")
    class Turning(Optimizer):
        """Momentum, whose memory has its names in the other order after each step."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"velocity": torch.zeros_like(param), "steps": torch.zeros_like(param)}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            velocity = 0.9 * state["velocity"] + grad
            after = {"velocity": velocity, "steps": state["steps"] + 1}
            return self.lr * velocity, {name: after[name] for name in reversed(state)}

    same(*SMALL, "batch_size=23", "model=mlp", "optimizer=turning", "optimizer.lr=0.001")


@pytest.mark.usefixtures("_captured")
def test_no_record_goes_beyond_a_step_that_is_looked_at() -> None:
    overrides = [*SMALL, "log_every=9", "evaluate.unit=step", "evaluate.every=7", "batch_size=10"]
    session, steps = trained(*overrides, "device.compile=true")
    ends = {step.t for step in steps}
    assert {t for t in range(1, 61) if session.is_stop(t)} <= ends
    assert len(losses(steps)) == 60
    for before, step in pairwise(steps):
        assert step.t == before.t + len(step.losses)


# Programs are of two steps or one: each step more has kernels of its own, of seconds to compile.
@pytest.mark.parametrize(
    ("overrides", "tolerance", "steps"),
    [
        (["model=mlp", "optimizer=adam", "transform=[clip_norm]", "schedule=cosine"], 1e-10, 100),
        pytest.param(["model=cnn", "model.channels=[4]", "model.dropout=0.2", "optimizer=momentum"],
                     1e-10, 100, marks=pytest.mark.whole),
        pytest.param(["model=mlp", "optimizer=adam", "augment=[noise]", "device.precision=fp32",
                      "log_every=1"], 1e-5, 20, marks=pytest.mark.whole),
    ],
)  # fmt: skip
def test_a_compiled_run_is_the_plain_one(
    overrides: list[str], tolerance: float, steps: int
) -> None:
    same("dataset=digits", "log_every=2", *overrides, tolerance=tolerance, steps=steps)


def test_a_model_that_branches_on_values_is_named_by_its_line_and_trained_all_the_same() -> None:
    overrides = [*SMALL, "model=dynamic"]
    with pytest.warns(UserWarning, match=r"dynamic\.py:\d+ \(`if change.norm\(\)") as caught:
        session, steps = trained(*overrides, "device.compile=true")
    assert len(caught) == 1
    wanted, plain = trained(*overrides)
    assert session.params.vector.equal(wanted.params.vector)
    assert losses(steps).equal(losses(plain))


def test_without_a_compiler_there_is_one_warning_and_the_plain_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise CaptureError("the compiler fails: FileNotFoundError: g++")

    monkeypatch.setattr(inductor, "_lowered", fail)
    with pytest.warns(UserWarning, match="g\\+\\+") as caught:
        session, _ = trained(*SMALL, "device.compile=true")
    assert len(caught) == 1
    assert session.params.vector.equal(trained(*SMALL)[0].params.vector)


def test_what_depends_on_numbers_alone_is_computed_apart() -> None:
    def function(number: Tensor, vector: Tensor) -> list[Tensor]:
        return [vector * (1 - number.exp()).sqrt() + torch.ones(3)]

    examples = [torch.tensor(-1.0), torch.randn(3)]
    first, second = inductor._divided(inductor._traced(function, examples), 1)
    names = [str(node.target) for node in first.graph.nodes if node.op == "call_function"]
    assert [name.split(".")[1] for name in names] == ["exp", "rsub", "sqrt"]
    result = second(*first(examples[0]), examples[1])
    torch.testing.assert_close(result, function(*examples))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("more", [[], ["device.compile=true"]])
def test_a_graph_takes_the_plain_steps(more: list[str]) -> None:
    overrides = ["dataset=digits", "model=mlp", "optimizer=adam"]
    results = []
    for extra in ([], ["device.graph=true", *more]):
        gpu = ["device=cuda", "device.precision=fp64", *extra]
        session = prepare(compose([*overrides, *gpu, "tracking=none", "max_steps=100"]))
        for step in engine.steps(session):
            if step.t == 100:
                break
        results.append(session.params.vector.cpu())
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)
