"""The loop that introductions to PyTorch teach: raw tensors, and rules written by hand."""

from collections.abc import Callable
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
    loader = DataLoader(Items(data), work.batch_size, shuffle=True, drop_last=True)
    batches = endless(loader)
    params = [(0.05 * torch.randn(shape)).requires_grad_() for shape in SHAPES[work.name]]
    forward = FORWARD[work.name]
    update = UPDATE[work.rule](params, work.lr)

    def take(n: int) -> None:
        for inputs, targets in islice(batches, n):
            loss = cross_entropy(forward(inputs, *params), targets)
            loss.backward()
            with torch.no_grad():
                update()
                for param in params:
                    grad(param).zero_()

    return take


def linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the logits of an affine map."""
    return inputs.flatten(1) @ weight + bias


def mlp(inputs: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """Return the logits of two affine maps with ReLU between them."""
    return (inputs.flatten(1) @ w1 + b1).relu() @ w2 + b2


def cnn(inputs: Tensor, *params: Tensor) -> Tensor:
    """Return the logits of two convolutions and an affine map."""
    k1, b1, k2, b2, weight, bias = params
    images = max_pool2d(conv2d(inputs, k1, b1, padding=1).relu(), 2)
    images = max_pool2d(conv2d(images, k2, b2, padding=1).relu(), 2)
    return linear(images, weight, bias)


def grad(param: Tensor) -> Tensor:
    """Return the gradient that `backward` left."""
    assert param.grad is not None
    return param.grad


def sgd(params: list[Tensor], lr: float) -> Callable[[], None]:
    """Return the update of gradient descent."""

    def update() -> None:
        for param in params:
            param.sub_(lr * grad(param))

    return update


def momentum(params: list[Tensor], lr: float) -> Callable[[], None]:
    """Return the update of gradient descent with momentum 0.9."""
    velocities = [torch.zeros_like(param) for param in params]

    def update() -> None:
        for param, velocity in zip(params, velocities, strict=True):
            velocity.mul_(0.9).add_(grad(param))
            param.sub_(lr * velocity)

    return update


def adam(params: list[Tensor], lr: float) -> Callable[[], None]:
    """Return the update of Adam (Kingma & Ba, 2015)."""
    states = [(torch.zeros_like(param), torch.zeros_like(param)) for param in params]
    t = 0

    def update() -> None:
        nonlocal t
        t += 1
        for param, (first, second) in zip(params, states, strict=True):
            first.mul_(0.9).add_(0.1 * grad(param))
            second.mul_(0.999).add_(0.001 * grad(param) ** 2)
            deviation = (second / (1 - 0.999**t)).sqrt() + 1e-8
            param.sub_(lr / (1 - 0.9**t) * first / deviation)

    return update


FORWARD: dict[str, Callable[..., Tensor]] = {"linear": linear, "mlp": mlp, "cnn": cnn}
UPDATE = {"sgd": sgd, "momentum": momentum, "adam": adam}
