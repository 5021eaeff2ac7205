"""Streams of random numbers: repeatable, apart from each other, and without a trace."""

import pytest
import torch

from experiments.data.seeds import default_stream, derive, generator

PURPOSES = [(), ("init",), ("order", 1), ("order", 2), ("order", 12), ("order1", 2), ("dropout",)]


def test_a_stream_is_the_same_each_time() -> None:
    one, other = (torch.rand(5, generator=generator(3, "order", 1)) for _ in range(2))
    assert one.equal(other)


def test_a_stream_stays_the_same_over_versions_of_the_program() -> None:
    assert derive(0, "init") == 3912388711783151084


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**63 - 1])
def test_seeds_and_purposes_have_streams_of_their_own(seed: int) -> None:
    derived = [derive(s, *purpose) for s in (seed, seed + 1) for purpose in PURPOSES]
    assert len(set(derived)) == len(derived)
    assert all(0 <= one < 2**63 for one in derived)


def test_seeds_in_a_row_have_unrelated_streams() -> None:
    draws = torch.stack([torch.randn(2000, generator=generator(s, "init")) for s in range(5)])
    correlation = draws.corrcoef() - torch.eye(5)
    assert correlation.abs().max() < 0.1


def test_the_default_generator_is_lent_and_restored() -> None:
    before = torch.get_rng_state()
    with default_stream(3, "init"):
        drawn = torch.rand(5)
    assert torch.get_rng_state().equal(before)
    assert drawn.equal(torch.rand(5, generator=generator(3, "init")))


def test_the_default_generator_is_restored_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="no network"), default_stream(3):
        torch.rand(1)
        raise ValueError("no network")
    assert torch.get_rng_state().equal(before)
