"""Every plugin of the checkout is registered before tests are collected."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fitting import register_matrices
from hypothesis import settings

from experiments.plugin import registry
from experiments.plugin.discovery import discover

ROOT = Path(__file__).parents[1]

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

discover(ROOT)

# Where the first backward pass of a process is one of fake tensors, autograd starts threads as it
# does for a GPU, and no child that a test forks can train.
torch.ones(1, requires_grad=True).backward()

# The same examples each time, on any machine however slow.
settings.register_profile("fixed", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Compute in one thread: tests beside each other would wait for each other's threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fixed_seed() -> Iterator[None]:
    """Let every test draw the same numbers, in whatever order tests run."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget after the test what it registered."""
    kinds = {kind: registry.plugins(kind) for kind in registry.KINDS}
    monkeypatch.setattr(registry, "_plugins", kinds)
    monkeypatch.setattr(registry, "_names", dict(registry._names))


@pytest.fixture
def matrices(request: pytest.FixtureRequest) -> None:
    """Have a model whose parameters are matrices, as some rules want them."""
    request.getfixturevalue("own_registry")
    register_matrices()
