"""Functions with known minima: their values as published, and what the parts refuse."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from commands import refused
from composed import ROOT, compose
from problems import numbers
from torch import Tensor
from torch.utils.data import TensorDataset

import experiments
from experiments import DataSpec, Splits, Task, lookup
from experiments.training import engine
from experiments.training.evaluation import evaluate
from experiments.training.session import Session, prepare
from plugins.model._deep_hessian import hessian
from plugins.model._surfaces import SURFACES

EXACT = ["device=exact", "tracking=none"]
MOMENTUM = ["optimizer=momentum", "optimizer.momentum=0.99", "optimizer.lr=2.512e-3"]


def opened(*overrides: str) -> Session:
    return prepare(compose([*EXACT, *overrides]))


def loaded(name: str, **fields: Any) -> Splits:
    splits = lookup("dataset", name)(**fields).load()  # type: ignore[attr-defined]
    assert isinstance(splits, Splits)
    return splits


def inputs(items: Any) -> Tensor:
    assert isinstance(items, TensorDataset)
    return items.tensors[0].double()


def run(*overrides: str) -> dict[str, float]:
    return experiments.run(*EXACT, *overrides, root=ROOT).metrics


def test_the_hessian_of_quadratic_deep_is_deepobss() -> None:
    eigenvalues = torch.linalg.eigvalsh(hessian())
    assert eigenvalues.sum().item() == pytest.approx(477.61228, abs=5e-6)
    assert eigenvalues[0].item() == pytest.approx(0.005522, abs=5e-7)
    assert eigenvalues[-1].item() == pytest.approx(53.12902, abs=5e-6)
    assert [int(((eigenvalues > low) & (eigenvalues < low + 30)).sum()) for low in (0, 30)] == [
        90,
        10,
    ]


def test_quadratic_deep_has_its_published_losses() -> None:
    session = opened("experiment=quadratic_deep")
    assert session.steps_per_epoch == 7
    (values,) = evaluate(session, "test")
    assert values["test/loss"] == pytest.approx(353.44677, abs=1e-5)
    train, test = (inputs(part) for part in (session.splits.train, session.splits.test))
    assert (len(train), len(test)) == (1000, 896)
    for place, loss in ((train.mean(0), 87.0460), (torch.zeros(100), 86.9264)):
        apart = place - test
        found = ((apart @ hessian()) * apart).sum(1).mean() / 2
        assert found.item() == pytest.approx(loss, abs=5e-5)


def test_the_optimum_of_quadratic_deep_is_at_the_mean_of_its_items() -> None:
    session = opened("experiment=quadratic_deep", "evaluate.train=true")
    session.params.vector.copy_(inputs(session.splits.train).mean(0))
    (values,) = evaluate(session, "train")
    assert values["train/loss"] == pytest.approx(session.splits.optimum, rel=1e-12)
    assert values["train/suboptimality"] == pytest.approx(0, abs=1e-11)


def test_momentum_on_quadratic_deep_ends_at_its_published_loss() -> None:
    assert run("experiment=quadratic_deep", *MOMENTUM)["final/val/loss"] == pytest.approx(
        87.045, abs=0.08
    )


@pytest.mark.whole
def test_momentum_is_a_step_back_where_batches_are_new_in_each_epoch() -> None:
    new = run("experiment=quadratic_deep", *MOMENTUM, "data.order=reshuffle")
    assert new["final/val/loss"] > 87.4


@pytest.mark.whole
@pytest.mark.whole
def test_gradient_descent_on_quadratic_deep_diverges_past_the_largest_eigenvalue() -> None:
    assert run("experiment=quadratic_deep")["final/val/loss"] == pytest.approx(87.3975, abs=0.4)
    # The bound is 2 / 53.13 = 0.0376.
    below = run("experiment=quadratic_deep", "optimizer.lr=2.5e-2")
    assert below["final/val/loss"] == pytest.approx(87.38, abs=0.4)
    above = run("experiment=quadratic_deep", "optimizer.lr=4e-2", "stop_on_divergence=false")
    assert above["final/val/loss"] > 1e6


@pytest.mark.parametrize("name", SURFACES)
def test_the_preset_of_a_surface_knows_its_lowest_value(name: str) -> None:
    session = opened(f"experiment={name}")
    surface = SURFACES[name]
    assert session.splits.optimum == pytest.approx(surface.lowest, abs=1e-15)
    for place in surface.minima:
        session.params.vector.copy_(torch.tensor(place))
        (values,) = evaluate(session, "val")
        assert values["val/loss"] == pytest.approx(surface.lowest, abs=1e-6)
        assert values["val/suboptimality"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", SURFACES)
def test_noise_is_added_to_the_gradient_of_a_surface(name: str) -> None:
    spec = DataSpec(input_shape=(2,), task=Task.objective)
    network = lookup("model", "surface")(function=name).build(spec)  # type: ignore[attr-defined]
    point = network.tensors["point"]
    assert point.tolist() == list(SURFACES[name].start)
    items = numbers(3, 2)
    exact, noisy = (
        torch.autograd.grad(network.forward(network.tensors, given).sum(), point)[0]
        for given in (torch.zeros_like(items), items)
    )
    torch.testing.assert_close(noisy - exact, items.sum(0), rtol=1e-9, atol=1e-9)


def test_noise_is_0_on_average_over_train_and_absent_elsewhere() -> None:
    splits = loaded("noise", dimension=3, std=0.5, items=4000, lowest=2.0)
    train = inputs(splits.train)
    assert train.mean(0).abs().max() < 1e-12
    assert train.std(0).tolist() == pytest.approx([0.5] * 3, rel=0.05)
    assert inputs(splits.val).tolist() == inputs(splits.test).tolist() == [[0.0] * 3]
    assert splits.optimum == 2.0
    assert splits.warnings == ()
    assert not inputs(loaded("noise").train).any()


def test_a_surface_starts_where_it_is_told() -> None:
    session = opened("experiment=rosenbrock", "model.start=[-1.2,1]")
    (values,) = evaluate(session, "val")
    assert values["val/loss"] == pytest.approx(24.2, rel=1e-12)


@pytest.mark.parametrize("name", ["noisy_quadratic", "logistic", "himmelblau"])
def test_a_rule_comes_down_a_function(name: str) -> None:
    session = opened(f"experiment={name}", "max_steps=100")
    (before,) = evaluate(session, "val")
    for _ in engine.steps(session):
        pass
    (after,) = evaluate(session, "val")
    assert 0 <= after["val/suboptimality"] < before["val/suboptimality"] / 10


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"condition": 100.0}, [1.0, 0.1, 0.01]),
        ({"condition": 100.0, "spectrum": "linear"}, [1.0, 0.505, 0.01]),
        ({"condition": 100.0, "rotation": 3}, [1.0, 0.1, 0.01]),
        ({"condition": 1.0}, [1.0, 1.0, 1.0]),
    ],
)
def test_a_quadratic_has_the_spectrum_asked_for(
    fields: dict[str, Any], wanted: Sequence[float]
) -> None:
    session = opened(
        "experiment=noisy_quadratic",
        "dataset.dimension=3",
        *(f"model.{name}={value}" for name, value in fields.items()),
    )
    (point,) = session.params.tensors.values()

    def loss(place: Tensor) -> Tensor:
        return session.model.bound(session.model.buffers)(
            {"point": place}, inputs(session.splits.val)
        ).mean()

    hessian = torch.autograd.functional.hessian(loss, point.detach())
    found = torch.linalg.eigvalsh(hessian).flip(0)
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)
    diagonal = hessian.diag().diag()
    assert ("rotation" in fields) == (not torch.allclose(hessian, diagonal))


def test_the_optimum_of_a_noisy_quadratic_is_0_on_train_as_well() -> None:
    session = opened("experiment=noisy_quadratic", "model.start=0", "model.rotation=0")
    (values,) = evaluate(session, "train")
    assert values["train/loss"] == pytest.approx(0, abs=1e-12)
    inputs_, targets = session.batches["train"].first(1000)
    session.loss_fn(session.model(session.params.tensors, inputs_), targets).backward()
    assert session.params.gradient.abs().max() < 1e-12


def test_the_optimum_of_logistic_regression_is_reached_and_not_passed() -> None:
    session = opened(
        "experiment=logistic", "optimizer=lbfgs", "batch_size=1000", "optimizer.lr=1", "epochs=60"
    )
    for _ in engine.steps(session):
        pass
    (values,) = evaluate(session, "val")
    assert abs(values["val/suboptimality"]) < 1e-10
    assert values["val/loss"] == pytest.approx(session.splits.optimum, abs=1e-10)
    assert session.params.gradient.norm() < 1e-5


@pytest.mark.parametrize(
    "fields", [{"l2": 1e-6}, {"noise": 0.0, "l2": 1e-4}, {"condition": 1e6}, {"items": 1}]
)
def test_the_optimum_of_logistic_regression_is_stationary(fields: dict[str, float]) -> None:
    signed, l2 = inputs(loaded("logistic", **fields).train), fields.get("l2", 0.01)
    weights = signed.new_zeros(20, requires_grad=True)
    rule = torch.optim.LBFGS(
        [weights], max_iter=2000, line_search_fn="strong_wolfe", tolerance_grad=1e-13,
        tolerance_change=1e-16,
    )  # fmt: skip

    def loss() -> Tensor:
        rule.zero_grad()
        margins = torch.nn.functional.logsigmoid(signed @ weights)
        value = l2 / 2 * weights @ weights - margins.mean()
        value.backward()
        return value

    rule.step(loss)  # type: ignore[no-untyped-call]
    found = loss().item()
    assert found == pytest.approx(loaded("logistic", **fields).optimum, abs=1e-9)
    assert found > loaded("logistic", **fields).optimum - 1e-12


def test_the_penalty_of_model_and_data_is_the_same_in_the_preset() -> None:
    experiment = compose(["experiment=logistic", "dataset.l2=0.5"])
    assert experiment.model.l2 == 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["quadratic", "quadratic_deep", "surface", "logistic"])
@pytest.mark.parametrize("task", [Task.regression, Task.objective])
def test_a_function_refuses_other_items(name: str, task: Task) -> None:
    with pytest.raises(ValueError, match=r"objective, such as dataset=noise, not \[3, 3\] of a"):
        lookup("model", name)().build(  # type: ignore[attr-defined]
            DataSpec(input_shape=(3, 3), task=task)
        )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.function=rosenbrok"], "function=rosenbrok: did you mean 'rosenbrock'?"),
        (["model.start=[1,nan]"], "must be two finite numbers"),
        (["dataset.std=1", "dataset.items=1"], "items=1 has no noise"),
        (["dataset.dimension=3"], "it takes vectors [2] of an objective"),
        (["loss=mse"], "whose task is objective; Allowed: auto, mean_output"),
        (["metric=[mae]"], "whose task is objective; Allowed: suboptimality"),
        (["loss.class_weights=balanced"], "the task objective has no classes"),
        (["dataset=synthetic", "dataset.task=objective"], "Allowed: classification, regression"),
    ],
)
def test_bad_settings_of_a_function_are_one_line(
    overrides: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, line = refused(["experiment=surface", "tracking=none", *overrides], capsys, monkeypatch)
    assert status == 2
    assert said in line
