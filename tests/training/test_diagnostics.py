"""Diagnostics: each quantity by its definition, in lanes and programs too, and beside the run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from captured import traced
from composed import ROOT, SMALL, compose
from torch import Tensor

from experiments import DataSpec, Model, register
from experiments.api import script
from experiments.errors import ConfigError, DivergedError
from experiments.plugin.spec import Parameter
from experiments.rules.layout import Layout
from experiments.runs.folder import Folder
from experiments.training import engine, lanes
from experiments.training.diagnostics import layers, noise, sharpness
from experiments.training.diagnostics.artifacts import steps_of
from experiments.training.diagnostics.measurement import WHOLE, Layers, readings
from experiments.training.diagnostics.memory import KEY
from experiments.training.loop import Step
from experiments.training.program import inductor
from experiments.training.program.program import Program
from experiments.training.session import Session, prepare

EXACT = torch.float64
LAYOUT = Layout(
    [Parameter("w", torch.Size([3, 4]), 0, "weight"), Parameter("b", torch.Size([5]), 12, "bias")]
)
MLP = [*SMALL, "model=mlp", "model.hidden=[3]", "tracking=none", "device=exact"]
ALL = ["diagnostics.noise_scale=true", "diagnostics.sharpness=true"]


def trained(session: Session, steps: int) -> tuple[list[list[Layers]], Step, list[float]]:
    """Return what was measured, the last step, and the norms of its change and its gradient."""
    torch.manual_seed(7)
    session.model.train()
    measured = []
    for step in engine.steps(session):
        if own := readings(session, step):
            measured.append(own)
        if step.t == steps:
            norms = [norm.norm().item() for norm in step.norms()]
            break
    return measured, step, norms


def assert_same(one: Sequence[Layers], two: Sequence[Layers], tolerance: float) -> None:
    assert len(one) == len(two) > 0
    for left, right in zip(one, two, strict=True):
        assert left.keys() == right.keys()
        for layer, own in left.items():
            assert own == pytest.approx(right[layer], rel=tolerance, abs=tolerance, nan_ok=True)


def test_lengths_angles_and_rates_are_those_of_numpy() -> None:
    names = ("params", "gradient", "update", "previous")
    vectors = dict(zip(names, torch.randn(4, 17, dtype=EXACT), strict=True))
    vectors["gradient"][3] = 0.0  # it has no rate
    measured = layers.quantities(LAYOUT, **vectors)
    arrays = {name: vector.numpy() for name, vector in vectors.items()}
    for row, part in zip(measured, (slice(None), slice(12), slice(12, 17)), strict=True):
        p, g, u, last = (arrays[name][part] for name in names)
        own, slope, step, before = (np.linalg.norm(each) for each in (p, g, u, last))
        rates = np.abs(u[g != 0] / g[g != 0])
        expected = [
            own,
            slope,
            step,
            step / own,
            u @ g / (step * slope),
            g @ last / (slope * before),
        ]
        expected += list(np.quantile(rates, [0.05, 0.5, 0.95]))
        np.testing.assert_allclose(row.numpy(), expected, rtol=1e-12)
    of_lanes = layers.quantities(LAYOUT, **{n: torch.stack([v, 2 * v]) for n, v in vectors.items()})
    torch.testing.assert_close(of_lanes[0], measured, rtol=1e-12, atol=0)


def test_quantiles_of_a_large_layer_are_of_numbers_all_over_it() -> None:
    shape = torch.Size([500, 784])
    layout = Layout([Parameter("w", shape, 0, "weight")])
    rates = torch.rand(shape.numel())
    # Each column and each row has a rate of its own, so that none may be left out.
    rates = (
        rates.view(shape) + torch.arange(784) / 784 + torch.arange(500)[:, None] / 500
    ).flatten()
    ones = torch.ones_like(rates)
    row = layers.quantities(layout, params=ones, gradient=ones, update=rates, previous=ones)[1]
    expected = np.quantile(rates.numpy(), [0.05, 0.5, 0.95])
    np.testing.assert_allclose(row[-3:].numpy(), expected, rtol=0.05)


@pytest.mark.parametrize("sizes", [[6], [7], [4, 2]], ids=str)
def test_the_noise_scale_is_its_definition_in_the_mean(sizes: list[int]) -> None:
    # The gradients of items are rows of a matrix, drawn with replacement in many lanes at once.
    items = torch.randn(40, 17, dtype=EXACT) + 0.3
    drawn = items[torch.randint(0, 40, (20_000, sum(sizes)))]
    batch = [(part, part[..., 0]) for part in drawn.split(sizes, 1)]

    def gradient_of(half: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        return torch.cat([inputs for inputs, _ in half], 1).mean(1)

    found = noise.estimates(LAYOUT, gradient_of, batch, dim=1).mean(0)
    centred = items - items.mean(0)
    for row, part in zip(found, (slice(None), slice(12), slice(12, 17)), strict=True):
        variance = (centred[:, part] ** 2).sum(1).mean()
        square = (items.mean(0)[part] ** 2).sum()
        torch.testing.assert_close(row, torch.stack([variance, square]), rtol=0.02, atol=0.01)


def test_a_batch_of_one_item_has_no_noise_scale_and_leaves_the_means_alone() -> None:
    batch = [(torch.ones(1, 17), torch.ones(1))]
    found = noise.estimates(LAYOUT, lambda half: half[0][0].sum(0), batch, dim=0)
    assert found.isnan().all()
    means = torch.ones(3, 2)
    assert noise.running_means(means, found).equal(means)


@pytest.mark.parametrize("spectrum", [[5.0, 4.0, 1.0, -9.0], [-1.0, -2.0, -3.0], [0.0, 0.0], [2.0]])
def test_the_largest_eigenvalue_is_found(spectrum: list[float]) -> None:
    values = torch.tensor(spectrum, dtype=EXACT)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), dtype=EXACT)).Q
    matrix = basis @ values.diag() @ basis.T
    start = torch.randn(2, len(values), dtype=EXACT)
    value, vector = sharpness.largest(lambda v: v @ matrix, start, 5)
    torch.testing.assert_close(value, values.max().expand(2), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(vector @ matrix, value[:, None] * vector, rtol=1e-6, atol=1e-9)
    again, _ = sharpness.largest(lambda v: v @ matrix, vector, 5)  # from where nothing is left
    torch.testing.assert_close(again, value, rtol=1e-9, atol=1e-12)


def test_a_lane_whose_curvature_is_not_finite_stops_no_other() -> None:
    curvatures = torch.tensor([[3.0, 1.0, 2.0], [torch.nan, 1.0, 1.0]], dtype=EXACT)
    start = torch.randn(2, 3, dtype=EXACT)
    value, vector = sharpness.largest(lambda v: v * curvatures, start, 5)
    assert value[0].item() == pytest.approx(3)
    assert value[1].isnan()
    assert vector[1].equal(start[1])


def test_sharpness_is_that_of_the_whole_hessian() -> None:
    overrides = [*MLP, "batch_size=70", "data.order=fixed", "optimizer.lr=0", "diagnostics.every=2"]
    session = prepare(compose([*overrides, *ALL, "epochs=8"]))
    measured, step, _ = trained(session, 8)
    ((inputs, targets),) = step.batch
    shapes = {name: tensor.shape for name, tensor in session.params.tensors.items()}

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes.values()])
        tensors = {n: p.view(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
        return session.loss_fn(session.model(tensors, inputs), targets)

    hessian = torch.autograd.functional.hessian(loss, session.params.vector)
    wanted = torch.linalg.eigvalsh(hessian)[-1].item()
    assert measured[-1][0][WHOLE]["sharpness"] == pytest.approx(wanted, rel=1e-4)
    assert measured[0][0][WHOLE]["sharpness"] == pytest.approx(wanted, rel=0.01)
    assert measured[-1][0][WHOLE]["two_over_lr"] == np.inf


def test_a_plain_rule_goes_along_its_gradient_at_its_rate() -> None:
    session = prepare(compose([*MLP, "optimizer.lr=0.25", "diagnostics.every=3", *ALL]))
    before = session.params.vector.clone()
    steps = engine.steps(session)
    gradients = []
    for _ in range(3):
        step, start, before = next(steps), before, session.params.vector.clone()
        gradients.append(session.params.gradient.clone())
    ((own,),) = [readings(session, step)]
    assert own[WHOLE]["norm/gradient"] == pytest.approx(gradients[2].norm().item())
    assert own[WHOLE]["norm/update"] == pytest.approx((before - start).norm().item())
    assert own[WHOLE]["two_over_lr"] == 8
    cosine = torch.cosine_similarity(gradients[1], gradients[2], dim=0).item()
    assert own[WHOLE]["cosine_gradients"] == pytest.approx(cosine)
    for layer in own.values():
        assert layer["cosine_update"] == pytest.approx(1)
        assert layer["effective_lr_q05"] == pytest.approx(0.25, rel=1e-6)
        assert layer["effective_lr_q95"] == pytest.approx(0.25, rel=1e-6)
    assert set(own) == {WHOLE, *session.params.tensors}


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_each_lane_is_measured_as_the_run_that_it_is(optimizer: str) -> None:
    base = compose([*MLP, f"optimizer={optimizer}", "diagnostics.every=4", *ALL])
    experiments = [
        dataclasses.replace(base, seed=seed, optimizer=dataclasses.replace(base.optimizer, lr=lr))
        for seed, lr in ((0, 0.1), (1, 0.1), (1, 0.02))
    ]
    together = trained(lanes.in_lanes(prepare(base), experiments), 12)[0]
    for place, experiment in enumerate(experiments):
        alone = trained(prepare(experiment), 12)[0]
        assert_same([own[place] for own in together], [own for (own,) in alone], 1e-8)


@pytest.mark.parametrize(
    ("every", "steps"), [pytest.param(1, 60, marks=pytest.mark.whole), (7, 54), (25, 55)]
)
def test_steps_that_a_program_takes_are_measured_as_those_of_the_loop(
    monkeypatch: pytest.MonkeyPatch, every: int, steps: int
) -> None:
    monkeypatch.setattr(inductor, "compiled", traced)
    overrides = [*MLP, "optimizer=adam", f"diagnostics.every={every}", "batch_size=5", "epochs=5"]
    overrides += [*ALL, "log_every=10"]
    alone, _, plain = trained(prepare(compose(overrides)), steps)
    with patch.object(Program, "run", autospec=True, side_effect=Program.run) as run:
        session = prepare(compose([*overrides, "device.compile=true"]))
        measured, _, norms = trained(session, steps)
    assert bool(run.call_count) is (every > 1)  # of which the last took the last steps
    assert_same([own for (own,) in measured], [own for (own,) in alone], 1e-8)
    assert norms == pytest.approx(plain)
    assert min(norms) > 0


@pytest.mark.usefixtures("own_registry")
def test_measuring_changes_nothing_of_a_run() -> None:
    @register("drawing")
    class Drawing(Model):
        """A network that draws random numbers and has running statistics."""

        def build(self, spec: DataSpec) -> torch.nn.Module:
            hidden = torch.nn.Linear(spec.features, 4)
            last = torch.nn.Linear(4, spec.outputs)
            return torch.nn.Sequential(hidden, torch.nn.BatchNorm1d(4), torch.nn.Dropout(), last)

    overrides = [*SMALL, "model=drawing", "tracking=none", "optimizer=adam", "epochs=10"]
    plain, measured = (
        prepare(compose([*overrides, *more])) for more in ([], ["diagnostics.every=1", *ALL])
    )
    assert [len(trained(session, 20)[0]) for session in (plain, measured)] == [0, 20]
    assert measured.params.vector.equal(plain.params.vector)
    for name, buffer in plain.model.buffers.items():
        assert measured.model.buffers[name].equal(buffer)
    assert KEY not in plain.state


@pytest.mark.usefixtures("own_registry")
def test_a_model_without_second_derivatives_is_told() -> None:
    class Attention(torch.nn.Module):
        def __init__(self, spec: DataSpec) -> None:
            super().__init__()
            self.last = torch.nn.Linear(spec.features, spec.outputs)

        def forward(self, inputs: Tensor) -> Tensor:
            items = self.last(inputs)[:, None, None]
            own = torch.nn.functional.scaled_dot_product_attention(items, items, items)
            return own[:, 0, 0]

    @register("attention")
    class Attending(Model):
        """A network whose attention torch computes at once."""

        def build(self, spec: DataSpec) -> torch.nn.Module:
            return Attention(spec)

    overrides = [*SMALL, "model=attention", "tracking=none", "diagnostics.every=1"]
    session = prepare(compose([*overrides, "diagnostics.sharpness=true"]))
    with pytest.raises(ConfigError, match=r"sharpness=true: no second derivative: .*attention"):
        trained(session, 1)


@pytest.mark.parametrize("model", ["mlp", "large"])
def test_a_gradient_is_measured_whatever_it_lies_in(model: str) -> None:
    hidden = "[70000]" if model == "large" else "[3]"  # of which each tensor has its own memory
    overrides = [*MLP[:-1], f"model.hidden={hidden}", "optimizer=adam", "diagnostics.every=2"]
    session = prepare(compose(overrides))
    measured, _, (change, gradient) = trained(session, 2)
    assert measured[0][0][WHOLE]["norm/gradient"] == pytest.approx(gradient, rel=1e-4)
    assert measured[0][0][WHOLE]["norm/update"] == pytest.approx(change, rel=1e-3)
    assert gradient > 0


def run(folder: Path, *overrides: str) -> script.Trained:
    settings = [*SMALL, "model=mlp", "model.hidden=[3]", "tracking=offline", *overrides]
    return script.run(*settings, f"output={folder}", root=ROOT)


def test_a_run_leaves_a_table_and_a_few_numbers_of_the_whole(tmp_path: Path) -> None:
    done = run(tmp_path, "diagnostics.every=3", "epochs=4", "tracking.figures=false", *ALL)
    assert done.folder is not None
    head, *rows = (done.folder / "diagnostics.csv").read_text().splitlines()
    assert len(rows) == 2 * (1 + 4)
    assert not (done.folder / "figures").exists()
    own = done.series[[n for n in done.series if n.startswith("diagnostics/")]].dropna()
    assert list(own.index) == [3, 6]
    assert own.shape[1] == 9
    cells = dict(zip(head.split(","), rows[0].split(","), strict=True))
    assert float(cells["sharpness"]) == pytest.approx(own["diagnostics/sharpness"][3], rel=1e-6)
    assert {"norm/gradient", "norm/update", "norm/params"} <= set(done.series)


def test_a_run_without_has_no_more_than_the_length_of_the_gradient(tmp_path: Path) -> None:
    done = run(tmp_path, "epochs=4", "log_every=3", "tracking.figures=false")
    assert done.folder is not None
    assert not steps_of(Folder(done.folder).events())
    assert not [name for name in done.series if name.startswith("diagnostics/")]
    assert list(done.series["norm/gradient"].dropna().index) == [2, 3, 4, 6, 8]
    assert not (done.folder / "diagnostics.csv").exists()


def test_a_run_that_diverges_leaves_a_table_and_a_figure(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        run(tmp_path, "diagnostics.every=1", "optimizer.lr=1e30", *ALL)
    (folder,) = tmp_path.glob("2*")
    assert "inf" in (folder / "diagnostics.csv").read_text()
    assert (folder / "figures" / "diagnostics.png").stat().st_size > 10_000


@pytest.mark.whole
def test_a_run_that_goes_on_may_be_measured_from_then_on(tmp_path: Path) -> None:
    settings = ["tracking.figures=false", "tracking.model=false"]
    first = run(tmp_path, "epochs=2", *settings)
    assert first.folder is not None
    again = [f"resume={first.folder}", "resume_changed=true", f"output={tmp_path}"]
    done = script.run(*again, "epochs=4", "diagnostics.every=2", *ALL, root=ROOT)
    assert list(done.series["diagnostics/sharpness"].dropna().index) == [6, 8]
    fewer = ["diagnostics.every=2", "diagnostics.sharpness=true"]
    done = script.run(*again, "epochs=5", *fewer, root=ROOT)
    assert done.series["diagnostics/sharpness"].dropna().index[-1] == 10


def test_steps_that_were_lost_count_as_they_were_taken_again() -> None:
    def event(kind: str, step: int, value: float = 0.0) -> dict[str, object]:
        return {"event": kind, "step": step, "layers": {WHOLE: {"norm/update": value}}}

    events = [event("layers", 2, 1.0), event("layers", 4, 1.0), event("layers", 6, 1.0)]
    events += [event("resume", 4), event("layers", 4, 2.0), event("layers", 8, 2.0)]
    found = {t: own[WHOLE]["norm/update"] for t, own in steps_of(events).items()}
    assert found == {2: 1.0, 4: 2.0, 8: 2.0}


def test_an_interval_that_never_comes_is_told() -> None:
    session = prepare(compose([*SMALL, "tracking=none", "diagnostics.every=99"]))
    assert session.doubts == ["diagnostics.every=99 measures nothing in a run of 60 steps."]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["diagnostics.sharpness=true"], "nothing is measured without diagnostics.every"),
        (
            ["diagnostics.every=1", "diagnostics.noise_scale=true", "batch_size=1", "max_steps=9"],
            "two halves of a batch",
        ),
        (
            ["diagnostics.every=1", "diagnostics.sharpness=true", "device.precision=fp16"],
            "device.precision=fp16 forbids; use bf16",
        ),
        (["diagnostics.every=0"], "diagnostics.every=0: must be >= 1"),
        (["diagnostics.sharpnes=true"], "sharpness"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_what_cannot_be_measured_is_one_line(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        prepare(compose([*SMALL, "tracking=none", *overrides]))
    assert told in str(error.value)
    assert "\n" not in str(error.value).strip()
