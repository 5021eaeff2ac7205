"""Independent streams of random numbers from one seed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return the seed of the stream that serves one purpose, such as ("order", epoch)."""
    key = "/".join(map(str, (seed, *purpose))).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator at the start of a purpose's stream."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def default_stream(seed: int, *purpose: str | int) -> Iterator[None]:
    """Let torch's default generator draw from a purpose's stream, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, *purpose))
        yield
