"""From stored items to a model's: the same by every way, and what is stored stays as it was."""

from typing import Any

import pytest
import torch
from composed import SMALL, compose, execute
from problems import CPU, items, labels, numbers, spec
from torch import Tensor
from torch.utils.data import TensorDataset

from experiments import Augment, ConfigError, DataSpec, Task, lookup
from experiments.data.batches import Batches
from experiments.data.preprocessing import Batch, Preprocessing
from experiments.plugin.spec import Order
from experiments.runs.tracker import InMemory
from experiments.training.session import Session, prepare

SHAPE, CLASSES = (3, 6, 7), 4
IMAGES = spec(SHAPE, CLASSES)
NORMALISED = DataSpec(
    input_shape=SHAPE,
    task=IMAGES.task,
    classes=IMAGES.classes,
    mean=torch.tensor([120.0, 128, 130]).view(3, 1, 1),
    std=torch.tensor([40.0, 41, 42]).view(3, 1, 1),
)


def augments(*names: str, **fields: Any) -> dict[str, Augment]:
    found = {name: lookup("augment", name)(**fields) for name in names}
    return {name: plugin for name, plugin in found.items() if isinstance(plugin, Augment)}


def preprocessing(
    *names: str,
    described: DataSpec = NORMALISED,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
) -> Preprocessing:
    return Preprocessing(
        described,
        device=CPU,
        dtype=dtype,
        augment=augments(*names),
        channels_last=channels_last,
    )


def batches(*names: str, size: int = 5, **options: Any) -> Batches:
    data = items(23, SHAPE, CLASSES)
    return Batches(data, preprocessing(*names), batch_size=size, device=CPU, **options)


def by_item(source: Batches, epoch: int = 1, seed: int = 0) -> Tensor:
    """Return an epoch's inputs in the order in which they are stored."""
    keys = source.preprocessing.keys([seed], epoch)
    found: dict[int, Tensor] = {}
    for read in source.reads(epoch, [seed]):
        places = read[2].tolist()
        found |= dict(zip(places, source.batch(read, keys)[0], strict=True))
    return torch.stack([found[place] for place in sorted(found)])


def same(one: list[Batch], other: list[Batch]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a.dtype == b.dtype and a.equal(b) for p in pairs for a, b in zip(*p, strict=True))


def test_an_item_is_augmented_alike_from_memory_and_by_loader_and_in_any_batch() -> None:
    wanted = by_item(batches("random_crop", "noise"))
    assert by_item(batches("random_crop", "noise", resident=False)).equal(wanted)
    assert by_item(batches("random_crop", "noise", resident=False, workers=1)).equal(wanted)
    for size in (1, 7, 23):
        found = by_item(batches("random_crop", "noise", size=size))
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    assert not wanted.equal(by_item(batches()))


def test_pixels_are_moved_alike_to_the_bit_in_any_batch() -> None:
    names = "random_crop", "horizontal_flip", "cutout"
    wanted = by_item(batches(*names))
    for size in (1, 7, 23):
        assert by_item(batches(*names, size=size)).equal(wanted)


@pytest.mark.parametrize("name", ["random_crop", "noise"])
def test_each_epoch_and_each_seed_changes_items_in_its_own_way(name: str) -> None:
    source = batches(name)
    wanted = by_item(source, 1, 0)
    assert by_item(source, 1, 0).equal(wanted)
    for epoch, seed in ((2, 0), (1, 1)):
        other = by_item(source, epoch, seed)
        changed = [not a.equal(b) for a, b in zip(wanted, other, strict=True)]
        assert sum(changed) > 15


def test_two_augmentations_draw_different_numbers() -> None:
    noise = lookup("augment", "noise")(std=1.0)  # type: ignore[call-arg]
    assert isinstance(noise, Augment)
    twice = Preprocessing(
        IMAGES, device=CPU, dtype=torch.float32, augment={"one": noise, "two": noise}
    )
    inputs, targets = torch.zeros(8, *SHAPE), labels(8, CLASSES)
    changed, _ = twice.augmented(inputs, targets, torch.arange(8), twice.keys([0], 1))
    assert 1.2 < changed.std() < 1.6  # of independent ones √2, of equal ones 2


def test_an_evaluated_split_is_not_augmented() -> None:
    plain, augmented = batches(), batches("random_crop", "noise")
    assert same(list(augmented.in_order()), list(plain.in_order()))
    assert same([augmented.first(3)], [plain.first(3)])


@pytest.mark.parametrize(
    "names", [(), ("random_crop", "horizontal_flip", "cutout"), ("noise",), ("mixup",)]
)
def test_lanes_are_single_runs(names: tuple[str, ...]) -> None:
    lanes, seeds = preprocessing(*names), [3, 4, 5]
    inputs = (numbers(3, 6, *SHAPE, dtype=torch.float32) * 40 + 128).clamp(0, 255).byte()
    targets, index = labels(18, CLASSES).view(3, 6), labels(18, 99, seed=1).view(3, 6)
    keys = lanes.keys(seeds, 2)
    assert all(key.shape == (3,) for key in keys.values())
    together = lanes.augmented(inputs, targets, index, keys)
    for lane, seed in enumerate(seeds):
        own = lanes.keys([seed], 2)
        assert all(key.shape == () for key in own.values())
        alone = lanes.augmented(inputs[lane], targets[lane], index[lane], own)
        exact = not {"noise", "mixup"} & set(names)
        rounding = 0.0 if exact else 1e-6
        torch.testing.assert_close(
            (together[0][lane], together[1][lane]), alone, rtol=rounding, atol=rounding
        )


def test_lanes_of_batches_are_single_runs() -> None:
    source = batches("random_crop", "horizontal_flip")
    together = list(source.epoch(2, [3, 9]))
    for lane, seed in enumerate([3, 9]):
        alone = list(source.epoch(2, [seed]))
        assert same([(inputs[lane], targets[lane]) for inputs, targets in together], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("resident", [True, False])
def test_channels_last_is_another_order_of_equal_values(dtype: torch.dtype, resident: bool) -> None:
    data = items(23, SHAPE, CLASSES)
    plain, last = (
        Batches(
            data,
            preprocessing(dtype=dtype, channels_last=channels_last),
            batch_size=5,
            device=CPU,
            resident=resident,
        )
        for channels_last in (False, True)
    )
    pairs = [
        *zip(plain.epoch(1, [0]), last.epoch(1, [0]), strict=True),
        *zip(plain.in_order(), last.in_order(), strict=True),
    ]
    for (one, _), (two, _) in pairs:
        assert two.is_contiguous(memory_format=torch.channels_last)
        assert one.is_contiguous()
        assert not two.is_contiguous()
        assert two.equal(one)


def test_rows_and_lanes_keep_their_order_in_memory() -> None:
    rows = preprocessing(described=spec((4,), 2), channels_last=True)
    assert rows.plain(numbers(5, 4), labels(5, 2))[0].is_contiguous()
    inputs = numbers(2, 5, *SHAPE)
    lanes = preprocessing(channels_last=True).plain(inputs, labels(10, CLASSES).view(2, 5))[0]
    assert lanes.is_contiguous()


@pytest.mark.parametrize("stored", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("names", [(), ("random_crop", "noise"), ("horizontal_flip", "mixup")])
def test_what_is_stored_is_left_alone(
    names: tuple[str, ...], stored: torch.dtype, channels_last: bool
) -> None:
    drawn = items(6, SHAPE, CLASSES).tensors
    data = TensorDataset(drawn[0].to(stored, copy=True), drawn[1].to(stored, copy=True))
    if channels_last:  # as it is asked for already
        data.tensors = (data.tensors[0].contiguous(memory_format=torch.channels_last), drawn[1])
    copies = [tensor.clone() for tensor in data.tensors]
    for resident in (True, False):
        source = Batches(
            data,
            preprocessing(*names, dtype=torch.float32, channels_last=channels_last),
            batch_size=6,
            device=CPU,
            resident=resident,
        )
        list(source.epoch(1, [0]))
        list(source.epoch(1, [0, 1]))
        list(source.in_order())
        source.first(6)
    source.preprocessing.plain(*data.tensors)
    inputs, targets = data.tensors
    source.preprocessing.augmented(
        inputs, targets, torch.arange(6), source.preprocessing.keys([0], 1)
    )
    assert all(a.equal(b) for a, b in zip(data.tensors, copies, strict=True))


def session(*overrides: str) -> Session:
    return prepare(compose(["device=cpu", "tracking=none", *overrides]))


def trained(*overrides: str) -> Tensor:
    """Return the parameters after a run."""
    made = session(*overrides)
    execute(made.experiment, InMemory(), session=made)
    return made.params.vector


@pytest.mark.whole
def test_runs_from_memory_and_by_loader_end_with_the_same_parameters() -> None:
    wanted = [
        "epochs=2", "model=cnn", "model.dropout=0.2", "batch_size=128",
        "augment=[random_crop,horizontal_flip,mixup]",
    ]  # fmt: skip
    resident = trained(*wanted)
    assert trained(*wanted, "dataset.resident=false").equal(resident)
    assert trained(*wanted, "dataset.resident=false", "data.workers=1").equal(resident)
    assert trained(*wanted, "data.workers=1").equal(resident)
    assert not trained(*wanted, "seed=1").equal(resident)


def orders(made: Session, epochs: int = 3) -> list[list[list[int]]]:
    """Return the places of the items in each batch of each epoch."""
    train, seeds = made.batches["train"], [made.experiment.seed]
    return [[read[2].tolist() for read in train.reads(e, seeds)] for e in range(1, epochs + 1)]


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_fixed_order_is_that_of_the_first_epoch(resident: str) -> None:
    reshuffled, fixed = (
        session(*SMALL, f"data.order={order.name}", f"dataset.resident={resident}")
        for order in (Order.reshuffle, Order.fixed)
    )
    first, second, third = orders(reshuffled)
    assert first != second != third
    assert orders(fixed) == [first, first, first]
    epochs = [list(fixed.batches["train"].epoch(epoch, [0])) for epoch in (1, 2)]
    assert same(*epochs)
    assert orders(session(*SMALL, "data.order=fixed", "seed=1")) != orders(fixed)


def test_a_fixed_order_leaves_augmentations_to_their_epoch() -> None:
    source = batches("noise", order=Order.fixed)
    (one, labels_of_one), (two, labels_of_two) = (
        next(source.epoch(epoch, [0])) for epoch in (1, 2)
    )
    assert labels_of_one.equal(labels_of_two)
    assert not one.equal(two)


@pytest.mark.parametrize(
    ("size", "kept", "dropped"), [(32, [32, 32, 6], [32, 32]), (35, [35, 35], [35, 35])]
)
@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_smaller_last_batch_is_left_out_if_asked_for(
    size: int, kept: list[int], dropped: list[int], resident: str
) -> None:
    overrides = [*SMALL, f"batch_size={size}", f"dataset.resident={resident}"]
    for drop, sizes in (("false", kept), ("true", dropped)):
        made = session(*overrides, f"data.drop_last={drop}", "epochs=3", "evaluate.batch_size=4")
        train = made.batches["train"]
        for epoch in (1, 2):
            assert [len(targets) for _, targets in train.epoch(epoch, [0])] == sizes
            assert [t.shape[1] for _, t in train.epoch(epoch, [0, 1])] == sizes
        assert len(list(train.epoch(1, [0], skip=1))) == len(sizes) - 1
        assert len(train) == made.steps_per_epoch == len(sizes)
        assert made.total_steps == 3 * len(sizes)
        # 15 items are evaluated, all of them.
        assert [len(t) for _, t in made.batches["val"].in_order()] == [4, 4, 4, 3]
        assert sum(len(targets) for _, targets in train.in_order()) == 70


def test_a_batch_size_that_leaves_no_batch_is_refused() -> None:
    assert session(*SMALL, "batch_size=70", "data.drop_last=true").steps_per_epoch == 1
    assert session(*SMALL, "batch_size=71").steps_per_epoch == 1
    with pytest.raises(ConfigError) as caught:
        session(*SMALL, "batch_size=71", "data.drop_last=true")
    assert str(caught.value) == (
        "batch_size=71: data.drop_last=true leaves no batch of the 70 items; use at most that many."
    )


def test_data_without_room_on_the_device_are_fed_by_a_loader_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    names = "random_crop", "horizontal_flip"
    wanted, made, data = batches(*names), preprocessing(*names), items(23, SHAPE, CLASSES)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "to", fail)
        with pytest.warns(UserWarning, match=r"cpu has no room for 0\.00 GB") as caught:
            source = Batches(data, made, batch_size=5, device=CPU)
    assert len(caught) == 1
    assert "dataset.resident=false" in str(caught[0].message)
    assert source.resident is None
    for epoch in (1, 2):
        assert same(list(source.epoch(epoch, [0])), list(wanted.epoch(epoch, [0])))
    assert same(list(source.in_order()), list(wanted.in_order()))
    assert same([source.first(3)], [wanted.first(3)])


def test_numbers_far_from_0_keep_their_differences() -> None:
    seconds = 1.7e9 + torch.arange(64, dtype=torch.double)[:, None]
    described = DataSpec(
        input_shape=(1,), task=Task.regression, mean=seconds.mean(0), std=seconds.std(0)
    )
    inputs, _ = preprocessing(described=described).plain(seconds, torch.zeros(64))
    assert inputs.dtype == torch.float32
    assert len(inputs.unique()) == 64
    torch.testing.assert_close(inputs.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("names", [(), ("a", "b")])
def test_targets_are_learnt_standardised_and_come_back_as_they_were(names: tuple[str, ...]) -> None:
    targets = 1e9 + 3 * numbers(20, *([2] if names else []))
    described = DataSpec(
        input_shape=(4,),
        task=Task.regression,
        targets=names,
        target_mean=targets.mean(0),
        target_std=targets.std(0),
    )
    made = preprocessing(described=described)
    _, learnt = made.plain(numbers(20, 4), targets)
    assert learnt.dtype == torch.float32
    assert learnt.abs().max() < 5
    torch.testing.assert_close(made.in_units(learnt), targets, atol=1e-5, rtol=0)
    outputs = learnt if names else learnt[:, None]
    wanted = targets if names else targets[:, None]
    torch.testing.assert_close(made.in_units(outputs), wanted, atol=1e-5, rtol=0)


def test_targets_without_a_scale_stay_as_they_are() -> None:
    made, values = preprocessing(described=spec((4,))), numbers(5, dtype=torch.float32)
    assert made.in_units(values) is values
