"""A lane is the run that it would be alone: numbers, order of batches, buffers, evaluation."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import ROOT, SMALL, compose
from fitting import settings_for
from objectives import OBJECTIVES
from torch import Tensor

from experiments import Optimizer, State, lookup, plugins, register
from experiments.api import script
from experiments.rules.numbers import unshared
from experiments.settings import Experiment
from experiments.training import engine, lanes
from experiments.training.evaluation import evaluate
from experiments.training.session import Session, prepare

DIGITS = ["dataset=digits", "batch_size=32", "epochs=5", "tracking=none"]
ROWS = ["dataset=synthetic", "dataset.items=100", "dataset.features=4", "batch_size=35"]
# The models that want larger images train on a few of them.
FEW = ["dataset=fake", "dataset.items=12", "batch_size=4", "epochs=20", "tracking=none"]
LARGER = {
    "resnet18": [*FEW, "dataset.size=16"],
    "lenet": [*FEW, "dataset.size=28", "dataset.grey=true"],
    **{f"deepobs_{name}": [*FEW, "dataset.size=16"] for name in ("mlp", "2c2d", "3c3d")},
}
HEAVY = {"resnet18", "deepobs_mlp", "deepobs_2c2d", "deepobs_3c3d"}
STEPS = {
    **dict.fromkeys(HEAVY, 2),  # in float64, of which a processor takes two a second
    "sophia_h": 100,  # where curvature is next to nothing, its steps amplify what is rounded
}
# Batch normalisation over the four values of a batch in the last blocks divides by deviations near
# zero, which amplifies what kernels of another shape round otherwise.
UNEQUAL = {"resnet18": (2, 0.01)}
EXACT = ["device.precision=fp64"]
RULES = "optimizer", "transform"


def of_model(name: str) -> list[str]:
    data = LARGER | {own: [*settings, "epochs=100"] for own, settings in OBJECTIVES.items()}
    return [*data.get(name, DIGITS), f"model={name}"]


def varied(overrides: Sequence[str]) -> list[Experiment]:
    """Return three experiments that differ in seed and rate."""
    base = compose(["device=cpu", "tracking=none", *overrides])
    rates = zip((0, 1, 1), (1.0, 1.0, 0.3), strict=True)
    return [
        dataclasses.replace(
            base,
            seed=seed,
            optimizer=dataclasses.replace(base.optimizer, lr=base.optimizer.lr * factor),
        )
        for seed, factor in rates
    ]


def after(session: Session, steps: int) -> tuple[Tensor, dict[str, Tensor]]:
    for step in engine.steps(session):
        if step.t == steps:
            break
    evaluated = session.rule.point(session.params.vector, step.state)
    return session.params.vector, {**session.model.buffers, "evaluated": evaluated}


def difference(experiments: Sequence[Experiment], steps: int) -> float:
    """Return the largest difference of a number between the lanes and the runs alone."""
    together = lanes.in_lanes(prepare(experiments[0]), experiments)
    vectors, buffers = after(together, steps)
    worst = 0.0
    for place, experiment in enumerate(experiments):
        vector, own = after(prepare(experiment), steps)
        worst = max(worst, (vectors[place] - vector).abs().max().item())
        for name, buffer in own.items():
            worst = max(worst, (buffers[name][place] - buffer).abs().max().item())
    return worst


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.whole] * (name not in ("cnn", "mlp", "surface")))
        for name in sorted(set(plugins("model")) - {"dynamic"})
    ],
)
def test_a_lane_of_every_model_equals_its_run_alone(name: str) -> None:
    steps = STEPS.get(name, 40 if name in LARGER else 200)
    exact = difference(varied([*of_model(name), *EXACT, "optimizer=adam"]), steps)
    assert exact < 1e-10, f"model={name} in float64 after {steps} steps: {exact}"
    # Adam divides by the size of a gradient: where that is 0 but for rounding, kernels that round
    # otherwise make steps of either sign.
    steps, limit = UNEQUAL.get(name, (10, 1e-5))
    single = difference(varied([*of_model(name), "optimizer=momentum", "optimizer.lr=0.01"]), steps)
    assert single < limit, f"model={name} in float32 after {steps} steps: {single}"


def test_a_model_that_branches_on_values_cannot_be_taken_in_lanes() -> None:
    experiments = varied(of_model("dynamic"))
    with pytest.raises(RuntimeError, match="data-dependent"):
        difference(experiments, 1)


# One of each sort in every run of the tests.
SORTS = {"adam", "lion", "adafactor", "muon", "prodigy", "sophia_h", "schedule_free_adamw"}
SORTS |= {"route", "sam", "ema"}


@pytest.mark.usefixtures("matrices")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[pytest.mark.whole] * (name not in SORTS))
        for kind in RULES
        for name, own in plugins(kind).items()
        if own.in_lanes
    ],
)
def test_a_lane_of_every_rule_equals_its_run_alone(kind: str, name: str) -> None:
    experiments = varied([*settings_for(kind, name), *EXACT, "epochs=100"])
    steps = STEPS.get(name, 200 if kind == "optimizer" else 30)
    assert difference(experiments, steps) < 1e-10


@pytest.mark.whole
@pytest.mark.parametrize(
    "form",
    [
        "adagrad optimizer.eps_inside_sqrt=true optimizer.initial=0.1",
        "adam optimizer.eps_inside_sqrt=true optimizer.bias_correction=false",
        "amsgrad optimizer.largest=corrected optimizer.eps_inside_sqrt=true",
        "dadapt_adam optimizer.bias_correction=true",
        "momentum optimizer.dampened=true optimizer.lr_inside=true",
        "nadam optimizer.rising=false",
        "nesterov optimizer.lr_inside=true",
        "psgd_kron optimizer.largest=5",
        "radam optimizer.eps_corrected=true optimizer.threshold=9",
        "rmsprop optimizer.centered=true optimizer.eps_inside_sqrt=true optimizer.momentum=0.5",
        "shampoo optimizer.every=4 optimizer.largest=5 optimizer.momentum=0.9",
        "soap optimizer.every=3",
        "sgd transform=[weight_decay,trust_ratio] transform.trust_ratio.of=gradient"
        " transform.trust_ratio.clip=0.3 transform.trust_ratio.vectors=false",
        "muon_adamw transform=[cautious,trust_ratio,noise] transform.trust_ratio.clip=2"
        " optimizer.rules.matrices.scale=match_rms_adamw optimizer.rules.matrices.nesterov=false",
    ],
)
def test_a_lane_of_another_form_of_a_rule_equals_its_run_alone(form: str) -> None:
    rule = [*settings_for("optimizer", "sgd"), *f"optimizer={form}".split(), "optimizer.lr=0.01"]
    assert difference(varied([*rule, *EXACT, "epochs=100"]), 200) < 1e-10


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"schedule={name}"] for name in sorted(plugins("schedule"))),
        ["accumulate=2", "data.drop_last=true"],
        ["data.order=fixed"],
    ],
    ids=str,
)
def test_a_lane_with_everything_else_equals_its_run_alone(overrides: list[str]) -> None:
    base = [*ROWS, "epochs=20", "model=mlp", "model.hidden=[6]", "optimizer=momentum", *EXACT]
    assert difference(varied([*base, *overrides]), 30) < 1e-10


def test_lanes_differ_in_smoothing_initial_scale_and_the_numbers_of_schedule_and_transform() -> (
    None
):
    base = compose([*of_model("mlp"), *EXACT, "epochs=3", "loss=cross_entropy",
                    "schedule=exponential", "transform=[clip_norm]"])  # fmt: skip
    experiments = [
        dataclasses.replace(
            base,
            loss=dataclasses.replace(base.loss, label_smoothing=0.1 * n),
            model=dataclasses.replace(base.model, init_scale=1.0 + n),
            schedule=dataclasses.replace(base.schedule, warmup=0.2 * n),
            transform={
                "clip_norm": dataclasses.replace(base.transform["clip_norm"], max_norm=0.5 + n)
            },
        )
        for n in range(3)
    ]
    assert difference(experiments, 9) < 1e-10


def test_an_evaluation_in_lanes_has_the_values_of_every_run_alone() -> None:
    for overrides in (
        [*of_model("mlp"), "metric=[accuracy,f1,top_k]"],
        [*ROWS, "dataset.task=regression", "model=mlp", "metric=[mae,r2]"],
    ):
        experiments = varied([*overrides, *EXACT])
        together = lanes.in_lanes(prepare(experiments[0]), experiments)
        for split in ("val", "test"):
            found = evaluate(together, split)
            for own, experiment in zip(found, experiments, strict=True):
                (alone,) = evaluate(prepare(experiment), split)
                assert own == pytest.approx(alone, abs=1e-10)


def test_r2_of_equal_targets_is_0_in_lanes_and_alone(tmp_path: Path) -> None:
    rows, equal = tmp_path / "rows.csv", tmp_path / "equal.csv"
    rows.write_text("a,y\n" + "".join(f"{n},{n / 3}\n" for n in range(40)))
    equal.write_text("a,y\n" + "".join(f"{n},0.1\n" for n in range(40)))
    regression = [f"dataset.path={rows}", f"dataset.val_path={equal}", "dataset=csv"]
    experiments = varied([*regression, "model=linear", "metric=[r2]", "batch_size=3"])
    found = evaluate(lanes.in_lanes(prepare(experiments[0]), experiments), "val")
    assert {row["val/r2"] for row in found} == {0}
    assert evaluate(prepare(experiments[0]), "val")[0]["val/r2"] == 0


def test_dropout_in_lanes_leaves_out_as_much_as_alone() -> None:
    base = compose([*of_model("cnn"), "model.dropout=0.5", "seed=1"])
    rates = [0.2, 0.2, 0.7]
    experiments = [
        dataclasses.replace(base, model=dataclasses.replace(base.model, dropout=rate))
        for rate in rates
    ]
    session = lanes.in_lanes(prepare(base), experiments)
    inputs, _ = session.batches["train"].first(40)
    inputs = inputs.expand(3, *inputs.shape)
    with torch.no_grad():
        dropped = torch.stack([session.model(session.params.tensors, inputs) for _ in range(300)])
        session.model.train(False)
        whole = session.model(session.params.tensors, inputs)
    assert not dropped[0, 0].equal(dropped[0, 1])
    means, spread = dropped.mean(0), dropped.var(0).mean((-1, -2))
    torch.testing.assert_close(means, whole, atol=0.5, rtol=0.2)
    # The variance of inverted dropout goes by p / (1 - p).
    ratio = (spread[2] / spread[0]).item()
    assert ratio == pytest.approx((0.7 / 0.3) / (0.2 / 0.8), rel=0.15)


def test_some_lanes_go_on_as_all_would_have() -> None:
    experiments = varied([*ROWS, "epochs=20", "model=mlp", "optimizer=adam"])
    whole = lanes.in_lanes(prepare(experiments[0]), experiments)
    kept, _ = after(whole, 20)
    for places in ([0, 2], [1]):
        session = lanes.in_lanes(prepare(experiments[0]), experiments)
        for step in engine.steps(session):
            if step.t == 7:
                break
        some = lanes.taken(session, places, step.state)
        for step in engine.steps(some, after=7):
            if step.t == 20:
                break
        torch.testing.assert_close(
            some.params.vector.reshape(len(places), -1), kept[places], atol=1e-6, rtol=1e-5
        )


@pytest.mark.usefixtures("own_registry")
def test_a_memory_may_begin_at_a_number_that_lanes_differ_in() -> None:
    @register("begun")
    class Begun(Optimizer):
        """Adagrad, whose sum begins at the square of its rate."""

        lr: float = 0.1

        def init(self, param: Tensor) -> State:
            return {"v": torch.zeros_like(param) + self.lr**2}

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            v = state["v"] + grad.square()
            return self.lr * grad / v.sqrt(), {"v": v}

    experiments = varied([*SMALL, *EXACT, "model=mlp", "optimizer=begun"])
    assert difference(experiments, 10) < 1e-10


class Made:
    """An object that does not say what it equals."""

    def __init__(self, values: list[float]) -> None:
        self.values = values


@pytest.mark.usefixtures("own_registry")
def test_a_rule_whose_attributes_follow_from_its_numbers_trains_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @register("own")
    class Own(Optimizer):
        """Takes half the rate, which it has computed before."""

        lr: float = 0.1

        def __post_init__(self) -> None:
            self.half = self.lr / 2

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return self.half * grad, state

    lines = [*SMALL, "tracking=none", "epochs=2", "optimizer=own"]
    swept = script.sweep(*lines, "optimizer.lr=0.02,0.2", root=ROOT)
    assert "own: its attribute 'half' is no setting" in capsys.readouterr().out
    for rate, run in zip((0.02, 0.2), swept, strict=True):
        alone = script.run(*lines, f"optimizer.lr={rate}", root=ROOT)
        assert run.metrics == pytest.approx(alone.metrics)


def test_attributes_that_are_the_same_in_all_lanes_keep_none_apart() -> None:
    rules: list[Any] = [lookup("optimizer", "momentum")() for _ in range(2)]
    assert unshared(rules) is None
    rules[0].table = torch.ones(2)
    assert unshared(rules) == "table"
    rules[1].table = torch.ones(2)
    assert unshared(rules) is None
    rules[1].table = torch.zeros(2)
    assert unshared(rules) == "table"
    for number, rule in enumerate(rules):
        rule.table = [{"path": Path("a"), "made": Made([1.0])}, torch.ones(2)]
        rule.made = Made([1.0, float(number)])
    assert unshared(rules) == "made"
    rules[1].made = Made([1.0, 0.0])
    assert unshared(rules) is None
    for number, rule in enumerate(rules):
        rule.made = lambda number=number: number
    assert unshared(rules) == "made"


def test_class_weights_keep_no_lanes_apart() -> None:
    experiments = varied([*DIGITS, *EXACT, "loss.class_weights=balanced"])
    assert difference(experiments, 20) < 1e-10
