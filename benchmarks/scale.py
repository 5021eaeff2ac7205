"""Networks from thousands to millions of parameters, and random images for them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks import ours
from experiments.training.session import Session

_ITEMS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """A network for images of one shape, and the items of a batch."""

    model: str
    batch_size: int
    image: tuple[int, int, int] = (1, 28, 28)
    hidden: tuple[int, ...] = ()

    @contextmanager
    def data(self) -> Iterator[list[str]]:
        """Lend the settings of random images and labels, which lie in a file meanwhile."""
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (_ITEMS, *self.image), dtype=np.uint8)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "images.npz"
            np.savez(path, inputs=images, targets=np.arange(_ITEMS) % 10)
            yield ["dataset=arrays", f"dataset.path={path}", "tracking=none", f"output={folder}"]

    def session(self, data: Sequence[str], *settings: str) -> Session:
        """Return what a run of this network needs."""
        hidden = [f"model.hidden={list(self.hidden)}"] if self.hidden else []
        batches = [f"batch_size={self.batch_size}", "data.drop_last=true"]
        return ours.session(*data, f"model={self.model}", *hidden, *batches, *settings)

    def module(self, session: Session) -> nn.Module:
        """Return the network as a module of its own, laid out as a session's is."""
        network = session.experiment.model.build(session.splits.spec)
        if not isinstance(network, nn.Module):
            network = _mlp([session.splits.spec.features, *self.hidden, 10])
        last = session.params.layout.channels_last
        return network.to(memory_format=torch.channels_last) if last else network


def _mlp(sizes: list[int]) -> nn.Module:
    layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


SCALES = {
    "8k": Scale(model="mlp", hidden=(10,), batch_size=64),
    "0.1M": Scale(model="mlp", hidden=(128,), batch_size=64),
    "1.3M": Scale(model="mlp", hidden=(1000, 500, 100), batch_size=64),
    "11M": Scale(model="mlp", hidden=(3000, 2500, 500), batch_size=64),
    "cnn": Scale(model="cnn", image=(3, 32, 32), batch_size=32),
    "resnet18": Scale(model="resnet18", image=(3, 32, 32), batch_size=8),
}
