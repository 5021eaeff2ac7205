"""The augmentations: what each may do to an item, in any batch, in lanes and in a trace."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import CPU, labels, numbers, spec
from scipy import stats
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from experiments import DataSpec, lookup
from experiments.plugin.draws import Draws
from experiments.rules.numbers import filled
from experiments.rules.numbers import numbers as tensors_of

KEY = 0x2545F4914F6CDD1D
KEYS = st.integers(0, 2**63 - 1)
SHAPE, CLASSES = (3, 9, 12), 5
IMAGES = spec(SHAPE, CLASSES)
MODE = {mode.value: mode for mode in type(lookup("augment", "random_crop")().mode)}  # type: ignore[attr-defined]
# Of tests that pass by chance with probability 1 - LEVEL; keys are fixed, so each does or does not.
LEVEL = 1e-3


def augment(name: str, **fields: Any) -> Any:
    return lookup("augment", name)(**fields)


PER_ITEM = {
    "zero crop": augment("random_crop", padding=2),
    "reflected crop": augment("random_crop", padding=4, mode=MODE["reflect"]),
    "flip": augment("horizontal_flip"),
    "cutout": augment("cutout", size=4),
    "noise": augment("noise"),
}
ALL = PER_ITEM | {"mixup": augment("mixup")}
every = pytest.mark.parametrize("case", ALL)
every_image = pytest.mark.parametrize("name", ["random_crop", "horizontal_flip", "cutout"])
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def apply(
    plugin: Any,
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    key: int = KEY,
    index: Tensor | None = None,
    spec: DataSpec = IMAGES,
) -> tuple[Tensor, Tensor]:
    count = len(inputs)
    targets = labels(count, CLASSES) if targets is None else targets
    index = torch.arange(count) if index is None else index
    out: tuple[Tensor, Tensor] = plugin(inputs, targets, Draws(torch.tensor(key), index), spec)
    return out


def batch(count: int, *lanes: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Return inputs, targets, keys and places of items, for one run or for lanes."""
    inputs = numbers(*lanes, count, *SHAPE, dtype=dtype)
    targets = labels(math.prod(lanes) * count, CLASSES).view(*lanes, count)
    keys = torch.arange(math.prod(lanes)).view(lanes) * 2**33 + KEY
    index = labels(math.prod(lanes) * count, 60_000, seed=1).view(*lanes, count)
    return inputs, targets, keys, index


def bound(plugin: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the augmentation as a function of tensors alone."""

    def call(inputs: Tensor, targets: Tensor, key: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = plugin(inputs, targets, Draws(key, index), IMAGES)
        return out

    return call


@every
@dtypes
def test_dtype_and_shape_stay_and_arguments_are_left_alone(case: str, dtype: torch.dtype) -> None:
    inputs, targets, _, index = batch(6, dtype=dtype)
    copies = inputs.clone(), targets.clone(), index.clone()
    new_inputs, new_targets = apply(ALL[case], inputs, targets, index=index)
    assert new_inputs.dtype == dtype
    assert new_inputs.shape == inputs.shape
    assert new_inputs.isfinite().all()
    assert not new_inputs.equal(inputs)
    if case == "mixup":
        assert new_targets.dtype == dtype
        assert new_targets.shape == (6, CLASSES)
    else:
        assert new_targets.equal(targets)
    assert all(a.equal(b) for a, b in zip((inputs, targets, index), copies, strict=True))


@every
def test_a_batch_of_one_item_is_a_batch(case: str) -> None:
    inputs, targets, _, index = batch(1)
    assert apply(ALL[case], inputs, targets, index=index)[0].shape == inputs.shape


# Mixup is left out: what an item is mixed with depends on the batch. Its share does not (below).
@pytest.mark.parametrize("case", PER_ITEM)
@given(order=st.permutations(range(6)), size=st.integers(1, 6), key=KEYS)
def test_an_item_is_changed_alike_in_any_batch(
    case: str, order: list[int], size: int, key: int
) -> None:
    inputs, targets, _, index = batch(6)
    chosen = torch.tensor(order[:size])
    whole, _ = apply(PER_ITEM[case], inputs, targets, key=key, index=index)
    part, same = apply(
        PER_ITEM[case], inputs[chosen], targets[chosen], key=key, index=index[chosen]
    )
    torch.testing.assert_close(part, whole[chosen], rtol=1e-6, atol=1e-6)
    assert same.equal(targets[chosen])


@pytest.mark.parametrize("case", PER_ITEM)
def test_another_key_changes_an_item_otherwise(case: str) -> None:
    inputs, targets, _, _ = batch(8)
    first, second = (apply(PER_ITEM[case], inputs, targets, key=key)[0] for key in (1, 2))
    assert not first.equal(second)


@every
@dtypes
def test_lanes_equal_single_runs(case: str, dtype: torch.dtype) -> None:
    lanes = batch(6, 3, dtype=dtype)
    call = bound(ALL[case])
    alone = [call(*lane) for lane in zip(*lanes, strict=True)]
    for got, wanted in zip(vmap(call)(*lanes), zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(got, torch.stack(wanted), rtol=1e-6, atol=1e-6)


@dtypes
@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("horizontal_flip", "p", [0.0, 0.5, 1.0]),
        ("noise", "std", [0.0, 0.1, 2.0]),
        ("mixup", "alpha", [0.1, 1.0, 5.0]),
    ],
)
def test_numbers_may_differ_by_lane(
    name: str, field: str, values: list[float], dtype: torch.dtype
) -> None:
    plugins = [augment(name, **{field: value}) for value in values]
    lanes = batch(6, 3, dtype=dtype)

    def one(fields: dict[str, Tensor], *lane: Tensor) -> tuple[Tensor, Tensor]:
        return bound(filled(plugins[0], fields))(*lane)

    together = vmap(one)(tensors_of(plugins, CPU), *lanes)
    alone = [bound(p)(*lane) for p, *lane in zip(plugins, *lanes, strict=True)]
    for got, wanted in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(got, torch.stack(wanted), rtol=1e-5, atol=1e-5)


@every
@pytest.mark.parametrize("lanes", [(), (2,)])
def test_a_trace_with_fake_tensors_equals_the_augmentation(
    case: str, lanes: tuple[int, ...]
) -> None:
    call = vmap(bound(ALL[case])) if lanes else bound(ALL[case])
    inputs, targets, keys, index = batch(6, *lanes)
    traced = make_fx(call, tracing_mode="fake")(inputs, targets, keys, index)
    # Other values than those it was traced with.
    other = inputs.flip(0) + 1, targets.flip(-1), keys + 1, index.flip(-1)
    for got, wanted in zip(traced(*other), call(*other), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)


@every_image
@pytest.mark.parametrize("shape", [(5,), (28, 28), (1, 2, 3, 4)])
def test_items_that_are_no_images_are_an_error(name: str, shape: tuple[int, ...]) -> None:
    plugin = augment(name)
    plugin.check(IMAGES)
    with pytest.raises(ValueError, match=r"images \[channels, height, width\], not \(") as caught:
        plugin.check(spec(shape, CLASSES))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("name", ["noise", "mixup"])
@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3, 4)])
@pytest.mark.parametrize("classes", [0, 3])
def test_some_take_items_of_any_shape(name: str, shape: tuple[int, ...], classes: int) -> None:
    plugin, data = augment(name), spec(shape, classes)
    plugin.check(data)
    inputs = numbers(4, *shape)
    targets = labels(4, classes) if classes else numbers(4)
    new_inputs, new_targets = apply(plugin, inputs, targets, spec=data)
    assert new_inputs.shape == inputs.shape
    assert new_targets.shape == ((4, 3) if classes and name == "mixup" else (4,))


def windows(image: Tensor, padding: int, mode: str) -> Tensor:
    """Cut every window of an image's size out of the padded image, [offsets, C, H, W]."""
    kind = "reflect" if mode == "reflect" else "constant"
    padded = functional.pad(image[None], (padding,) * 4, mode=kind)[0]
    height, width = image.shape[-2:]
    span = range(2 * padding + 1)
    return torch.stack([padded[:, y : y + height, x : x + width] for y in span for x in span])


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(1, 4),
    mode=st.sampled_from(["zero", "reflect"]),
    key=KEYS,
)
def test_a_crop_is_a_window_of_the_padded_image(
    shape: tuple[int, int, int], padding: int, mode: str, key: int
) -> None:
    plugin = augment("random_crop", padding=padding, mode=MODE[mode])
    if mode == "reflect" and padding >= min(shape[1:]):
        with pytest.raises(ValueError, match=rf"padding={padding} .* less than"):
            plugin.check(spec(shape, CLASSES))
        return
    plugin.check(spec(shape, CLASSES))
    inputs = numbers(3, *shape, dtype=torch.float32)
    cropped, _ = apply(plugin, inputs, key=key)
    for image, crop in zip(inputs, cropped, strict=True):
        assert (windows(image, padding, mode) == crop).flatten(1).all(1).any()


@pytest.mark.parametrize("mode", MODE)
def test_every_offset_occurs_equally_often(mode: str) -> None:
    image = numbers(1, 6, 7)
    plugin = augment("random_crop", padding=2, mode=MODE[mode])
    cropped, _ = apply(plugin, image.expand(5000, *image.shape))
    is_at = (windows(image, 2, mode) == cropped[:, None]).flatten(2).all(2)
    assert is_at.sum(1).eq(1).all()
    assert stats.chisquare(is_at.sum(0)).pvalue > LEVEL


def test_a_crop_shifts_all_channels_alike() -> None:
    inputs = numbers(8, 1, 6, 6).expand(-1, 3, -1, -1)
    cropped, _ = apply(augment("random_crop"), inputs)
    assert cropped.equal(cropped[:, :1].expand_as(cropped))


@pytest.mark.parametrize(("p", "mirrored"), [(0, False), (1, True), (0.0, False), (1.0, True)])
def test_flips_at_the_extremes_are_certain(p: float, mirrored: bool) -> None:
    inputs = numbers(200, 1, 2, 3)
    flipped, _ = apply(augment("horizontal_flip", p=p), inputs)
    assert flipped.equal(inputs.flip(3) if mirrored else inputs)


@given(p=st.floats(0, 1), key=KEYS)
def test_a_flip_mirrors_an_image_or_leaves_it(p: float, key: int) -> None:
    inputs = numbers(6, *SHAPE)
    flipped, _ = apply(augment("horizontal_flip", p=p), inputs, key=key)
    for image, new in zip(inputs, flipped, strict=True):
        assert new.equal(image) or new.equal(image[:, :, list(reversed(range(SHAPE[2])))])


@pytest.mark.parametrize("p", [0.05, 0.5, 0.8])
def test_flips_are_as_frequent_as_said(p: float) -> None:
    inputs = torch.tensor([0.0, 1.0]).expand(10_000, 1, 1, 2)
    flipped, _ = apply(augment("horizontal_flip", p=p), inputs)
    assert stats.binomtest(int(flipped[:, 0, 0, 0].sum()), 10_000, p).pvalue > LEVEL


def covered(length: int, size: int) -> list[int]:
    """Count the places of a side that a span of `size` covers, for every centre."""
    return [
        sum(c - size // 2 <= place < c - size // 2 + size for place in range(length))
        for c in range(length)
    ]


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(1, 8)),
    size=st.integers(1, 20),
    key=KEYS,
)
def test_a_cutout_is_one_rectangle_in_all_channels(
    shape: tuple[int, int, int], size: int, key: int
) -> None:
    inputs = numbers(4, *shape).abs() + 1
    cut, _ = apply(augment("cutout", size=size), inputs, key=key)
    assert ((cut == inputs) | (cut == 0)).all()
    for hidden in cut == 0:
        rows, columns = hidden[0].any(1), hidden[0].any(0)
        assert hidden.equal((rows[:, None] & columns).expand_as(hidden))
        for side in (rows, columns):
            places = side.nonzero().flatten()
            assert places.diff().eq(1).all()  # no gap
            assert len(places) in covered(len(side), size)
            # It is smaller than asked for only where the border clips it.
            assert len(places) == size or side[0] or side[-1]


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_a_cutout_hides_the_area_that_random_centres_do(size: int) -> None:
    count, (_, height, width) = 10_000, SHAPE
    cut, _ = apply(augment("cutout", size=size), torch.ones(count, *SHAPE))
    areas = (cut[:, 0] == 0).flatten(1).sum(1).double()
    all_areas = [a * b for a in covered(height, size) for b in covered(width, size)]
    expected = torch.tensor(all_areas, dtype=torch.float64)
    assert set(areas.tolist()) == set(expected.tolist())
    error = expected.std() / math.sqrt(count)
    assert (areas.mean() - expected.mean()).abs() <= 4 * error


def test_every_pixel_is_some_cutouts_centre() -> None:
    cut, _ = apply(augment("cutout", size=1), torch.ones(10_000, *SHAPE))
    assert stats.chisquare((cut[:, 0] == 0).sum(0).flatten()).pvalue > LEVEL


def test_no_noise_is_no_change() -> None:
    inputs = numbers(4, *SHAPE)
    assert apply(augment("noise", std=0.0), inputs)[0].equal(inputs)


@dtypes
@pytest.mark.parametrize("std", [1e-3, 0.1, 3.0])
def test_noise_is_normal_and_as_strong_as_said(std: float, dtype: torch.dtype) -> None:
    inputs = torch.ones(1000, 100, dtype=dtype)
    noisy, _ = apply(augment("noise", std=std), inputs)
    noise = (noisy - inputs).flatten().double() / std
    # Sums near 1 have steps of 1e-7 in float32.
    assert stats.kstest(noise.numpy(), "norm").pvalue > LEVEL
    assert noise.std().item() == pytest.approx(1, abs=0.01)


def shares(alpha: float, count: int, dtype: torch.dtype = torch.float64, key: int = KEY) -> Tensor:
    """Return what is left of each item: every second one is 1, and its neighbour 0."""
    assert count % 2 == 0
    items = (torch.arange(count) % 2).to(dtype)
    mixed, _ = apply(augment("mixup", alpha=alpha), items, key=key)
    return torch.where(items == 1, mixed, 1 - mixed)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1, 4, 50.0])
def test_shares_have_a_beta_distribution(alpha: float) -> None:
    drawn = shares(alpha, 100_000).numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > LEVEL


@dtypes
@pytest.mark.parametrize("alpha", [1e-9, 0.01, 0.2, 1.0, 1e3, 1e9])
def test_shares_are_finite_and_from_0_to_1(alpha: float, dtype: torch.dtype) -> None:
    drawn = shares(alpha, 100_000, dtype)
    assert (drawn >= 0).all()
    assert (drawn <= 1).all()
    if alpha < 1e-8:
        assert ((drawn == 0) | (drawn == 1)).all()
    # The deviation of Beta(α, α).
    wanted = 1 / math.sqrt(4 * (2 * alpha + 1))
    assert drawn.std().item() == pytest.approx(wanted, rel=0.03)
    assert drawn.mean().item() == pytest.approx(0.5, abs=4 * wanted / math.sqrt(100_000))


class Worst(Draws):
    """Draws the numbers at which a closed form is most at risk."""

    def __init__(self) -> None:
        ends = torch.tensor([0.0, 2**-24, 0.25, 0.5, 0.75, 1 - 2**-24])
        self._extremes, self._calls = torch.cartesian_prod(ends, ends), 0

    def uniform(self, *shape: int) -> Tensor:
        drawn = self._extremes[:, self._calls]
        self._calls += 1
        return drawn


@dtypes
@pytest.mark.parametrize("alpha", [1e-30, 1e-3, 0.2, 1.0, 1e6, 1e30])
def test_no_number_gives_a_share_that_is_not_finite(alpha: float, dtype: torch.dtype) -> None:
    items = torch.arange(36).to(dtype) % 2
    mixed, targets = augment("mixup", alpha=alpha)(items, items, Worst(), spec(()))
    assert mixed.isfinite().all()
    assert ((mixed >= 0) & (mixed <= 1)).all()
    assert targets.equal(mixed)


def test_a_share_belongs_to_the_item_whatever_its_neighbour() -> None:
    items = torch.eye(6, dtype=torch.float64)
    index = torch.arange(10, 16)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole, _ = apply(augment("mixup", alpha=1.0), items, index=index)
    part, _ = apply(augment("mixup", alpha=1.0), items[order], index=index[order])
    # Item i is the only one with a 1 in column i.
    assert part.gather(1, order[:, None])[:, 0].equal(whole.diagonal()[order])


@given(key=KEYS, alpha=st.floats(0.01, 100), count=st.integers(1, 8))
def test_classes_are_mixed_as_their_items_are(key: int, alpha: float, count: int) -> None:
    inputs, targets = numbers(count, *SHAPE), labels(count, CLASSES)
    plugin = augment("mixup", alpha=alpha)
    mixed, soft = apply(plugin, inputs, targets, key=key)
    hard = functional.one_hot(targets, CLASSES).double()
    torch.testing.assert_close(soft.sum(1), torch.ones(count, dtype=torch.float64))
    assert (soft >= 0).all()
    for i in range(count):
        # The share that explains the item by least squares explains its target as well.
        apart = (inputs[i] - inputs[i - 1]).flatten()
        norm = apart @ apart
        share = ((mixed[i] - inputs[i - 1]).flatten() @ apart) / norm if norm > 0 else 1.0
        torch.testing.assert_close(mixed[i], share * inputs[i] + (1 - share) * inputs[i - 1])
        torch.testing.assert_close(soft[i], share * hard[i] + (1 - share) * hard[i - 1])


def test_shares_from_before_are_mixed_again() -> None:
    inputs, targets = numbers(6, *SHAPE), labels(6, CLASSES)
    hard = functional.one_hot(targets, CLASSES).double()
    plugin = augment("mixup", alpha=1.0)
    for got, wanted in zip(
        apply(plugin, inputs, hard), apply(plugin, inputs, targets), strict=True
    ):
        assert got.equal(wanted)
    twice = apply(plugin, *apply(plugin, inputs, targets), key=1)[1]
    torch.testing.assert_close(twice.sum(1), torch.ones(6, dtype=torch.float64))
    assert (twice > 0).sum() > (hard > 0).sum()


def test_numbers_to_predict_are_mixed_as_numbers() -> None:
    inputs = numbers(8, 4)
    slope = numbers(4, seed=1)
    mixed, targets = apply(augment("mixup", alpha=1.0), inputs, inputs @ slope, spec=spec((4,)))
    assert targets.shape == (8,)
    torch.testing.assert_close(mixed @ slope, targets)  # a linear relation survives


@dtypes
@pytest.mark.parametrize("smoothing", [0, 0.0, 0.1, 1.0])
def test_cross_entropy_of_shares_equals_torch(smoothing: float, dtype: torch.dtype) -> None:
    logits, soft = numbers(6, CLASSES, dtype=dtype), numbers(6, CLASSES, seed=1).softmax(1)
    loss: Any = lookup("loss", "cross_entropy")(label_smoothing=smoothing)  # type: ignore[call-arg]
    wanted = functional.cross_entropy(logits, soft.to(dtype), label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, soft.to(dtype)), wanted)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, torch.tensor(0.0), torch.tensor(0.1)])
def test_cross_entropy_takes_a_class_for_all_of_its_share(smoothing: Any) -> None:
    logits, targets = numbers(3, 6, CLASSES), labels(18, CLASSES).view(3, 6)
    loss: Any = lookup("loss", "cross_entropy")(label_smoothing=smoothing)  # type: ignore[call-arg]
    hard = functional.one_hot(targets, CLASSES).double()
    together = vmap(loss)(logits, targets)
    torch.testing.assert_close(vmap(loss)(logits, hard), together)
    torch.testing.assert_close(
        together, torch.stack([loss(*pair) for pair in zip(logits, targets, strict=True)])
    )
