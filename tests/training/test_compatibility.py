"""Parts that do not fit the data are refused with the key, the value and what is allowed."""

import pytest
from composed import SMALL, compose
from torch import nn

from experiments import ConfigError, DataSpec, Model, register
from experiments.plugin import registry
from experiments.training.compatibility import monitored, too_late
from experiments.training.session import Session, prepare

REGRESSION = [*SMALL, "dataset.task=regression"]
CLASSES = [*SMALL, "dataset.task=classification"]


def session(*overrides: str) -> Session:
    return prepare(compose(["device=cpu", "tracking=none", *overrides]))


REFUSED = [
    (
        ["optimizer=schedule_free_sgd", "transform=[ema]"],
        "transform=ema: the model is evaluated where it says, and optimizer=schedule_free_sgd says "
        "where, too; leave one out.",
    ),
    (
        ["loss=mse"],
        "loss=mse does not fit dataset=digits, whose task is classification; "
        "Allowed: auto, cross_entropy, hinge.",
    ),
    (
        [*REGRESSION, "loss=cross_entropy"],
        "loss=cross_entropy does not fit dataset=synthetic, whose task is regression; "
        "Allowed: auto, huber, l1, mse.",
    ),
    (
        ["metric=[mae]"],
        "metric=mae does not fit dataset=digits, whose task is classification; "
        "Allowed: accuracy, f1, top_k.",
    ),
    (
        [*REGRESSION, "metric=[r2,accuracy]"],
        "metric=accuracy does not fit dataset=synthetic, whose task is regression; "
        "Allowed: mae, r2.",
    ),
    (
        [*CLASSES, "augment=[random_crop]"],
        "augment=random_crop does not fit dataset=synthetic: it takes images "
        "[channels, height, width], not (4,).",
    ),
    (
        ["augment=[noise,random_crop]", "augment.random_crop.padding=8",
         "augment.random_crop.mode=reflect"],
        "augment=random_crop does not fit dataset=digits: padding=8 by reflection is too wide for "
        "(1, 8, 8): it must be less than an image's height and width.",
    ),
    (
        ["monitor=val/acuracy"],
        "monitor=val/acuracy: there is no such metric; did you mean 'val/accuracy'? "
        "Allowed: val/accuracy, val/loss.",
    ),
    (
        ["monitor=train/loss", "metric=[f1]"],
        "monitor=train/loss: there is no such metric; did you mean 'val/loss'? "
        "Allowed: val/f1, val/loss.",
    ),
    (
        [*REGRESSION, "monitor=nothing"],
        "monitor=nothing: there is no such metric; Allowed: val/loss, val/mae, val/r2.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "text"), REFUSED)
def test_a_misfit_names_key_value_and_what_is_allowed(overrides: list[str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        session(*overrides)
    assert str(caught.value) == text


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("normalises", [True, False])
def test_a_last_batch_of_one_item_is_found_before_the_first_step(normalises: bool) -> None:
    @register("normed")
    class Normed(Model):
        """A network with BatchNorm, or without."""

        def build(self, spec: DataSpec) -> nn.Module:
            norm = nn.BatchNorm1d(5) if normalises else nn.ReLU()
            return nn.Sequential(nn.Linear(spec.features, 5), norm, nn.Linear(5, spec.outputs))

    def tell(*more: str) -> str:
        try:
            session(*CLASSES, "model=normed", *more)
        except ConfigError as error:
            return str(error)
        return ""

    found = tell("batch_size=23"), tell("batch_size=1")
    if normalises:
        assert found[0].startswith(
            "batch_size=23: a batch, an epoch's last of 70 items, has one item, with which "
            "model=normed cannot be trained (Expected more than 1 value per channel"
        )
        assert found[0].endswith("; data.drop_last=true leaves it out.")
        assert found[1].endswith("; give batch_size at least 2.")
    else:
        assert found == ("", "")
    assert not tell("batch_size=23", "data.drop_last=true")
    assert not tell("batch_size=22")


def test_balanced_draws_need_classes() -> None:
    balanced = "data.sampling=balanced"
    assert session(*CLASSES, balanced).batches["train"].size == 70
    with pytest.raises(ConfigError) as caught:
        session(*REGRESSION, balanced)
    assert str(caught.value) == (
        "data.sampling=balanced: dataset=synthetic has no classes; Allowed: uniform."
    )


def test_a_metric_that_is_undefined_is_told_and_not_monitored() -> None:
    few = [*REGRESSION, "dataset.items=9", "dataset.val_fraction=0.1", "metric=[r2,mae]"]
    found = session(*few)
    assert found.batches["val"].size == 1
    assert found.monitor == "val/mae"
    assert "val/r2 is NaN: it takes 2 items, val has 1." in found.doubts
    with pytest.raises(ConfigError, match="monitor=val/r2: it takes 2 items, and val has 1; "):
        session(*few, "monitor=val/r2")


@pytest.mark.parametrize("given", [REGRESSION, CLASSES])
@pytest.mark.parametrize("kind", ["loss", "metric"])
@pytest.mark.whole
def test_what_is_allowed_instead_fits(kind: str, given: list[str]) -> None:
    allowed, wrong = set(), set()
    for name in registry.plugins(kind):
        try:
            session(*given, f"{kind}=[{name}]" if kind == "metric" else f"{kind}={name}")
            allowed.add(name)
        except ConfigError as error:
            wrong.add(str(error).partition("Allowed: ")[2])
    assert wrong == {f"{', '.join(sorted(allowed))}."}


def test_mixing_is_refused_with_a_loss_that_takes_no_shares() -> None:
    with pytest.raises(ConfigError) as caught:
        session("loss=hinge", "augment=[noise,mixup]")
    said, _, allowed = str(caught.value).partition("; Allowed: ")
    assert said == "loss=hinge does not fit augment=mixup, which mixes classes"
    assert "cross_entropy" in allowed
    assert "hinge" not in allowed


@pytest.mark.parametrize("loss", ["auto", "cross_entropy"])
def test_mixing_fits_a_loss_that_takes_shares(loss: str) -> None:
    assert list(session("augment=[mixup]", f"loss={loss}").experiment.augment) == ["mixup"]


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_mixing_numbers_fits_any_loss(loss: str) -> None:
    session(*REGRESSION, "augment=[mixup]", f"loss={loss}")


def test_augmentations_of_any_shape_fit_rows() -> None:
    session(*CLASSES, "augment=[noise,mixup]")


@pytest.mark.parametrize(
    ("overrides", "metrics"),
    [(["metric=[f1,top_k]"], ["f1", "top_k"]), ([], ["accuracy"]), (REGRESSION, ["mae", "r2"])],
)
def test_the_metrics_are_those_asked_for_or_the_usual_of_the_task(
    overrides: list[str], metrics: list[str]
) -> None:
    assert sorted(session(*overrides).metrics) == metrics


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, ("val/mae", False)),
        ("val/r2", ("val/r2", True)),
        ("val/loss", ("val/loss", False)),
    ],
)
def test_what_is_monitored_is_the_first_metric_unless_another_is_asked_for(
    asked: str | None, found: tuple[str, bool]
) -> None:
    metrics = session(*REGRESSION, "metric=[mae,r2]").metrics
    assert monitored(asked, metrics) == found
    assert monitored(None, {}) == ("val/loss", False)


@pytest.mark.parametrize("rule", ["optimizer=lbfgs"])
@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ("batch_size=69", []),
        ("data.sampling=balanced", ["batch_size=70", "data.sampling=balanced"]),
        ("augment=[noise,mixup]", ["batch_size=35", "accumulate=2", "augment=[noise,mixup]"]),
    ],
)
def test_a_rule_that_needs_all_of_the_data_refuses_what_changes_it(
    rule: str, setting: str, change: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        session(*CLASSES, rule, *(change or [setting]))
    assert str(caught.value).startswith(f"{setting}: {rule} needs the same batch at each step")
    session(*CLASSES, rule, "batch_size=35", "accumulate=2")


def test_a_step_that_never_comes_is_told() -> None:
    late = ["transform=[swa,lookahead]", "transform.swa.start=9", "transform.lookahead.every=8"]
    experiment = compose([*SMALL, *late])
    assert list(too_late(experiment, 9)) == []
    assert list(too_late(experiment, 8)) == [
        "transform.swa.start=9 does nothing in a run of 8 steps; give at most 8."
    ]
