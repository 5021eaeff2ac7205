"""A checkpoint of a run, and the model that is made of it again."""

import dataclasses
from pathlib import Path

import pytest
import torch
from composed import SMALL, compose
from fitting import settings_for

from experiments import plugins, tensorfile
from experiments.errors import DataError
from experiments.runs import predictor
from experiments.training import checkpoint, engine
from experiments.training.checkpoint import Point
from experiments.training.session import Session, prepare

IMAGES = ["dataset=fake", "dataset.items=60"]
RULES = "optimizer", "transform"
# One of each sort in every run of the tests.
SORTS = {"adam", "muon", "lbfgs", "prodigy", "sophia_h", "schedule_free_adamw", "route", "ema"}


def _saved(path: Path, *overrides: str) -> Session:
    """Save the parameters of a new run, and return the run."""
    session = prepare(compose(overrides))
    tensorfile.save(path, *checkpoint.of_model(session, 7, {"val/loss": 0.5}))
    return session


@pytest.mark.parametrize(
    "overrides",
    [
        [*SMALL, "model=linear"],
        [*SMALL, "model=mlp", "model.hidden=[6,5]"],
        [*IMAGES, "model=cnn"],
        ["model=mlp", "model.hidden=[8]"],
    ],
    ids=" ".join,
)
def test_the_model_of_a_checkpoint_predicts_as_the_run_does(
    tmp_path: Path, overrides: list[str]
) -> None:
    path = tmp_path / "best.safetensors"
    session = _saved(path, *overrides)
    items = torch.stack([session.splits.val[index][0] for index in range(5)])  # type: ignore[attr-defined]
    spec = session.splits.spec
    session.model.train(False)
    with torch.no_grad():
        expected = session.model(session.params.tensors, (items.float() - spec.mean) / spec.std)
    assert torch.allclose(predictor.predictor(path)(items), expected, atol=1e-6)


def test_predicting_neither_records_gradients_nor_depends_on_the_batch(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    session = _saved(path, *IMAGES, "model=cnn")
    items = torch.stack([session.splits.val[index][0] for index in range(4)])  # type: ignore[attr-defined]
    predict = predictor.predictor(path)
    together = predict(items)
    assert not together.requires_grad
    alone = torch.cat([predict(item.unsqueeze(0)) for item in items])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_checkpoint_says_what_it_belongs_to(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    session = _saved(path, *SMALL, "model=mlp", "optimizer=adam")
    tensors, facts = tensorfile.load(path)
    assert facts["step"] == 7
    assert facts["epoch"] == 7 / session.steps_per_epoch
    assert facts["values"] == {"val/loss": 0.5}
    assert facts["model"]["plugin"] == "model/mlp"
    assert facts["spec"]["input_shape"] == [4]
    assert {"params/weights1", "params/bias2", "spec/mean", "spec/std"} <= set(tensors)


def test_a_run_is_brought_back_to_the_bit_whatever_the_order_of_its_weights(
    tmp_path: Path,
) -> None:
    settings = [*IMAGES, "model=cnn", "optimizer=adam", "tracking=none"]
    session = prepare(compose([*settings, "device.memory_format=channels_last"]))
    batches, path = engine.steps(session), tmp_path / "last.safetensors"
    step = [next(batches) for _ in range(3)][-1]
    point = Point(step, [step.losses], {"params": session.params.vector}, 2.5)
    tensorfile.save(path, *checkpoint.of_run(session, point, "run", position=11))
    assert tensorfile.load(path)[1]["position"] == 11
    for order in ("channels_last", "contiguous"):
        other = prepare(compose([*settings, f"device.memory_format={order}", "seed=5"]))
        found = checkpoint.bring_back(other, [tensorfile.load(path)])
        for name, tensor in session.params.tensors.items():
            assert other.params.tensors[name].equal(tensor)
        memory = found.step.state["optimizer"]["m"]
        for name, tensor in session.params.layout.split(step.state["optimizer"]["m"]).items():
            assert other.params.layout.split(memory)[name].equal(tensor)
        assert (found.step.t, found.seconds) == (3, 2.5)


def test_a_memory_of_several_vectors_is_brought_back_in_the_order_of_the_weights(
    tmp_path: Path,
) -> None:
    settings = [*IMAGES, "model=cnn", "optimizer=lbfgs", "batch_size=60", "tracking=none"]
    session = prepare(compose([*settings, "device.memory_format=channels_last"]))
    batches, path = engine.steps(session), tmp_path / "last.safetensors"
    step = [next(batches) for _ in range(3)][-1]
    tensorfile.save(path, *checkpoint.of_run(session, Point(step, [step.losses], {}, 0.0), "run"))
    other = prepare(compose([*settings, "device.memory_format=contiguous"]))
    found = checkpoint.bring_back(other, [tensorfile.load(path)]).step.state["optimizer"]["s"]
    kept = session.params.layout.split(step.state["optimizer"]["s"])
    assert all(other.params.layout.split(found)[name].equal(kept[name]) for name in kept)


def test_another_run_s_tensors_are_refused(tmp_path: Path) -> None:
    session = prepare(compose([*SMALL, "tracking=none"]))
    step = next(engine.steps(session))
    path = tmp_path / "last.safetensors"
    tensorfile.save(path, *checkpoint.of_run(session, Point(step, [step.losses], {}, 0.0), "run"))
    for other in (["model=mlp"], ["optimizer=adam"], ["dataset.features=5"]):
        with pytest.raises(DataError, match="does not fit"):
            checkpoint.bring_back(
                prepare(compose([*SMALL, "tracking=none", *other])), [tensorfile.load(path)]
            )


def test_a_checkpoint_that_is_absent_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    with pytest.raises(DataError):
        predictor.predictor(path)
    _saved(path, *SMALL)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(DataError):
        predictor.predictor(path)


@pytest.mark.usefixtures("matrices")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[pytest.mark.whole] * (name not in SORTS))
        for kind in RULES
        for name in plugins(kind)
    ],
)
def test_a_run_of_every_rule_goes_on_to_the_bit(kind: str, name: str, tmp_path: Path) -> None:
    experiment = compose([*settings_for(kind, name), "tracking=none", "max_steps=24", "epochs=24"])
    whole, again = prepare(experiment), prepare(experiment)
    path = tmp_path / "last.safetensors"
    for step in engine.steps(whole):
        if step.t == 13:
            point = Point(step, [step.losses], {}, 0.0)
            tensorfile.save(path, *checkpoint.of_run(whole, point, "run"))
    point = checkpoint.bring_back(again, [tensorfile.load(path)])
    again = dataclasses.replace(again, state=point.step.state)
    *_, last = engine.steps(again, 13)
    assert again.params.vector.isfinite().all()
    assert again.params.vector.equal(whole.params.vector)
    assert last.t == step.t
    for owner, memory in step.state.items():
        for key, tensor in memory.items():
            assert last.state[owner][key].equal(tensor), f"{owner}/{key}"
