"""PyTorch as its tutorials have it: a DataLoader over decoded tensors, and torch.optim."""

from itertools import islice

from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.data import Data
from benchmarks.torch_parts import endless, network, normalise, optimizer, tensors
from benchmarks.work import Take, Work


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    items = TensorDataset(*tensors(data))
    batches = endless(DataLoader(items, work.batch_size, shuffle=True, drop_last=True))
    model = network(work)
    rule = optimizer(work, model.parameters())

    def take(n: int) -> None:
        for inputs, targets in islice(batches, n):
            loss = cross_entropy(model(normalise(inputs)), targets)
            rule.zero_grad()
            loss.backward()
            rule.step()

    return take
