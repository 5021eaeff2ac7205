"""The loop that introductions to PyTorch teach: raw tensors, and rules written by hand."""

from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy, max_pool2d
from torch.utils.data import DataLoader

from benchmarks.data import Data
from benchmarks.items import Items
from benchmarks.torch_parts import endless
from benchmarks.work import Take, Work

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "linear": [(784, 10), (10,)],
    "mlp": [(784, 128), (128,), (128, 10), (10,)],
    "cnn": [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (1568, 10), (10,)],
}


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    batches = endless(DataLoader(Items(data), work.batch_size, shuffle=True, drop_last=True))
    params = [(0.05 * torch.randn(shape)).requires_grad_() for shape in SHAPES[work.name]]
    states = [(torch.zeros_like(param), torch.zeros_like(param)) for param in params]
    t = 0

    def take(n: int) -> None:
        nonlocal t
        for inputs, targets in islice(batches, n):
            t += 1
            loss = cross_entropy(forward(work, inputs, params), targets)
            loss.backward()
            with torch.no_grad():
                for param, state in zip(params, states, strict=True):
                    update(work, t, param, *state)

    return take


def forward(work: Work, inputs: Tensor, params: list[Tensor]) -> Tensor:
    """Return a batch's logits."""
    *hidden, weight, bias = params
    match work.name:
        case "mlp":
            inputs = (inputs.flatten(1) @ hidden[0] + hidden[1]).relu()
        case "cnn":
            for kernel, shift in (hidden[:2], hidden[2:]):
                inputs = max_pool2d(conv2d(inputs, kernel, shift, padding=1).relu(), 2)
    return inputs.flatten(1) @ weight + bias


def update(work: Work, t: int, param: Tensor, first: Tensor, second: Tensor) -> None:
    """Subtract step `t` from a parameter, and zero its gradient."""
    assert param.grad is not None
    grad = param.grad
    match work.rule:
        case "sgd":
            param.sub_(work.lr * grad)
        case "momentum":
            first.mul_(0.9).add_(grad)
            param.sub_(work.lr * first)
        case "adam":
            first.mul_(0.9).add_(0.1 * grad)
            second.mul_(0.999).add_(0.001 * grad**2)
            deviation = (second / (1 - 0.999**t)).sqrt() + 1e-8
            param.sub_(work.lr / (1 - 0.9**t) * first / deviation)
    grad.zero_()
