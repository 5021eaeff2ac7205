"""Counter-based random numbers: fixed, independent, and the same for an item in any batch."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from problems import labels
from scipy import stats
from torch import Tensor
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx

from experiments.plugin.draws import Draws

KEY = 0x2545F4914F6CDD1D
KEYS = st.integers(0, 2**63 - 1)
# Of tests that pass by chance with probability 1 - LEVEL; keys are fixed, so each does or does not.
LEVEL = 1e-3


def draws(index: Tensor, key: int = KEY) -> Draws:
    return Draws(torch.tensor(key), index)


def uniforms(count: int, *shape: int, key: int = KEY) -> Tensor:
    return draws(torch.arange(count), key).uniform(*shape)


def three(key: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw once in each way, from one stream."""
    source = Draws(key, index)
    return source.uniform(2, 3), source.normal(4), source.integers(7)


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def scrambled(x: int) -> int:
    """Scramble 32 bits in whole numbers of any size."""
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x = ((x ^ (x >> shift)) * factor) % 2**32
    return x ^ (x >> 15)


def number_at(key: int, item: int, place: int) -> float:
    """Compute one number of a stream without tensors."""
    high, low = divmod(key, 2**32)
    state = scrambled(scrambled(low ^ scrambled(item)) ^ high)
    return (scrambled(state ^ scrambled(place)) // 2**8) / 2**24


# The numbers never change: a checkpoint goes on with them, and a run is repeated by them.
GOLDEN = [
    (KEY, 0, 0, 12_998_717),
    (KEY, 59_999, 783, 9_451_816),
    (2**63 - 1, 2**31 + 7, 3, 13_386_895),
    (1, 1, 0, 3_875_931),
]


@pytest.mark.parametrize(("key", "item", "place", "word"), GOLDEN)
def test_numbers_are_fixed(key: int, item: int, place: int, word: int) -> None:
    drawn = draws(torch.tensor([item]), key).uniform(place + 1)[0, place]
    assert drawn.item() * 2**24 == word
    assert number_at(key, item, place) * 2**24 == word


@given(KEYS, st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.integers(1, 6))
def test_numbers_equal_those_of_whole_number_arithmetic(
    key: int, items: list[int], count: int
) -> None:
    drawn = draws(torch.tensor(items), key).uniform(count)
    assert drawn.tolist() == [[number_at(key, i, place) for place in range(count)] for i in items]


@given(KEYS, st.permutations(range(8)), st.integers(1, 8))
def test_an_item_has_its_numbers_in_any_batch(key: int, order: list[int], size: int) -> None:
    index = torch.arange(100, 108)
    whole = three(torch.tensor(key), index)
    chosen = torch.tensor(order[:size])
    for part, all_of_it in zip(three(torch.tensor(key), index[chosen]), whole, strict=True):
        assert part.equal(all_of_it[chosen])


@given(KEYS, st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_calls_go_on_in_one_stream(key: int, counts: list[int]) -> None:
    index = torch.arange(4)
    source = draws(index, key)
    parts = torch.cat([source.uniform(count) for count in counts], 1)
    assert parts.equal(draws(index, key).uniform(sum(counts)))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (1, 4, 4)])
def test_shapes_and_types(shape: tuple[int, ...]) -> None:
    source = draws(torch.arange(5))
    for drawn, dtype in (
        (source.uniform(*shape), torch.float32),
        (source.normal(*shape), torch.float32),
        (source.integers(3, *shape), torch.long),
    ):
        assert drawn.shape == (5, *shape)
        assert drawn.dtype == dtype


# Items that follow each other, places that follow each other, and both.
@pytest.mark.parametrize("shape", [(100_000, 1), (1, 100_000), (316, 317)])
@pytest.mark.parametrize("key", [0, 1, KEY])
def test_numbers_are_uniform(shape: tuple[int, int], key: int) -> None:
    drawn = uniforms(*shape, key=key).flatten()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert stats.kstest(drawn.double().numpy(), "uniform").pvalue > LEVEL
    # The last of the 24 bits as well as the first.
    for bit in (0, 8, 23):
        ones = int(((drawn * 2**24).long() >> bit & 1).sum())
        assert stats.binomtest(ones, drawn.numel()).pvalue > LEVEL


def test_pairs_of_numbers_are_uniform() -> None:
    first, second = (uniforms(100_000, 2) * 16).long().unbind(1)
    assert stats.chisquare(torch.bincount(first * 16 + second, minlength=256)).pvalue > LEVEL


def test_normal_numbers_have_mean_0_deviation_1_and_the_right_tails() -> None:
    drawn = draws(torch.arange(1000)).normal(100).flatten().double()
    assert drawn.isfinite().all()
    assert drawn.mean().abs() < 4 / math.sqrt(drawn.numel())
    assert (drawn.var() - 1).abs() < 4 * math.sqrt(2 / drawn.numel())
    assert stats.kstest(drawn.numpy(), "norm").pvalue > LEVEL
    assert drawn.abs().max() > 4


def test_a_uniform_number_of_0_gives_a_finite_normal_one() -> None:
    item = torch.tensor([0])
    assert draws(item, 0).uniform() == 0
    assert draws(item, 0).normal().isfinite()


@pytest.mark.parametrize("below", [1, 2, 3, 7, 256, 1000])
def test_integers_reach_every_value_evenly(below: int) -> None:
    drawn = draws(torch.arange(100_000)).integers(below)
    counts = torch.bincount(drawn, minlength=below)
    assert len(counts) == below
    assert stats.chisquare(counts).pvalue > LEVEL if below > 1 else counts.all()


@given(st.integers(1, 2**24))
def test_the_largest_number_gives_no_integer_too_large(below: int) -> None:
    largest = torch.tensor(1 - 2.0**-24)
    assert (largest * below).long() == below - 1


def test_neighbouring_items_and_successive_calls_are_independent() -> None:
    bound = 4 / math.sqrt(100_000)
    drawn = uniforms(100_001)
    assert abs(correlation(drawn[1:], drawn[:-1])) < bound
    source = draws(torch.arange(100_000))
    first, second, third = source.uniform(), source.uniform(), source.normal()
    assert abs(correlation(first, second)) < bound
    assert abs(correlation(second, third)) < bound
    for distance in (2, 16, 1024):  # items that differ by one bit
        assert abs(correlation(drawn[distance:], drawn[:-distance])) < bound


@pytest.mark.parametrize("bit", range(63))
def test_keys_that_differ_by_one_bit_are_independent(bit: int) -> None:
    a, b = uniforms(200, 100), uniforms(200, 100, key=KEY ^ (1 << bit))
    assert abs(correlation(a, b)) < 4 / math.sqrt(20_000)
    assert (a == b).sum() <= 2
    # Nor is one a shift or a shuffle of the other: a coincidence of 24 bits is rare.
    assert torch.isin(a, b).float().mean() < 0.01


def test_no_two_items_share_a_stream() -> None:
    assert len(set(map(tuple, uniforms(60_000, 3).tolist()))) == 60_000


@pytest.mark.parametrize("mode", ["real", "fake"])
def test_a_trace_draws_the_same_numbers(mode: Any) -> None:
    traced = make_fx(three, tracing_mode=mode)(torch.tensor(0), torch.arange(6))
    key, index = torch.tensor(KEY), labels(6, 60_000)
    for got, wanted in zip(traced(key, index), three(key, index), strict=True):
        assert got.equal(wanted)


@pytest.mark.parametrize("shared", [False, True])
def test_lanes_draw_what_each_key_draws_alone(shared: bool) -> None:
    keys = torch.tensor([0, 1, KEY])
    index = torch.arange(6) if shared else labels(18, 1000).view(3, 6)
    together = vmap(three, in_dims=(0, None if shared else 0))(keys, index)
    alone = [three(key, index if shared else index[k]) for k, key in enumerate(keys)]
    for got, wanted in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(got, torch.stack(wanted), rtol=1e-6, atol=1e-6)


def test_drawing_leaves_its_arguments_alone() -> None:
    key, index = torch.tensor(KEY), torch.arange(5)
    three(key, index)
    assert key == KEY
    assert index.equal(torch.arange(5))
