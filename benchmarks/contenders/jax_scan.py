"""JAX and optax: one compiled scan over an epoch's batches, the images as bytes in memory."""

from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax import Array, lax
from jax import numpy as jnp

from benchmarks.data import Data
from benchmarks.work import ITEMS, MEAN, STD, Take, Work

SHAPES = {
    "linear": [(784, 10), (10,)],
    "mlp": [(784, 128), (128,), (128, 10), (10,)],
    "cnn": [(3, 3, 1, 16), (16,), (3, 3, 16, 32), (32,), (1568, 10), (10,)],
}


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    images, labels = jnp.asarray(data.images), jnp.asarray(data.labels, jnp.int32)
    generator = np.random.default_rng(0)
    params = [jnp.asarray(0.05 * generator.normal(size=s), "float32") for s in SHAPES[work.name]]
    rule = optimizer(work)
    carry = (params, rule.init(params))

    def step(carry: Any, index: Array) -> tuple[Any, Array]:
        params, state = carry
        inputs = (images[index] / 255 - MEAN) / STD
        loss, grads = jax.value_and_grad(partial(mean_loss, work))(params, inputs, labels[index])
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    epoch = jax.jit(partial(lax.scan, step), donate_argnums=0)

    def take(n: int) -> None:
        nonlocal carry
        for first in range(0, n, work.steps_per_epoch):
            order = generator.permutation(ITEMS)[: work.steps_per_epoch * work.batch_size]
            batches = order.reshape(-1, work.batch_size)[: n - first]
            carry, _ = epoch(carry, batches)
        jax.block_until_ready(carry)

    return take


def mean_loss(work: Work, params: list[Array], inputs: Array, targets: Array) -> Array:
    """Return a batch's mean cross-entropy."""
    hidden = inputs.reshape(len(inputs), -1)
    match work.name:
        case "mlp":
            hidden = jax.nn.relu(hidden @ params[0] + params[1])
        case "cnn":
            images = block(block(inputs[..., None], *params[:2]), *params[2:4])
            hidden = images.reshape(len(inputs), -1)
    logits = hidden @ params[-2] + params[-1]
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def block(images: Array, kernel: Array, bias: Array) -> Array:
    """Convolve, apply ReLU, and halve height and width."""
    layout = ("NHWC", "HWIO", "NHWC")
    images = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=layout)
    window = (1, 2, 2, 1)
    return lax.reduce_window(jax.nn.relu(images + bias), -jnp.inf, lax.max, window, window, "VALID")


def optimizer(work: Work) -> optax.GradientTransformation:
    """Return the work's optimizer."""
    match work.rule:
        case "sgd":
            return optax.sgd(work.lr)
        case "momentum":
            return optax.sgd(work.lr, momentum=0.9)
        case "adam":
            return optax.adam(work.lr)
