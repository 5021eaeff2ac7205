"""Keras on JAX: `compile` with its compiler on, and `fit` on arrays."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
from keras import Input, Sequential, layers
from keras.losses import SparseCategoricalCrossentropy
from keras.optimizers import SGD, Adam, Optimizer

from benchmarks.data import Data
from benchmarks.work import MEAN, STD, Take, Work


def prepare(work: Work, data: Data) -> Take:
    """Return the function that takes n steps."""
    scale = layers.Rescaling(1 / (255 * STD), offset=-MEAN / STD)
    model = Sequential([Input((28, 28, 1)), scale, *hidden(work), layers.Dense(10)])
    loss = SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer(work), loss=loss, jit_compile=True)
    images = data.images[..., None]

    def take(n: int) -> None:
        model.fit(images, data.labels, work.batch_size, steps_per_epoch=n, verbose=0)
        jax.block_until_ready([variable.value for variable in model.variables])

    return take


def hidden(work: Work) -> list[layers.Layer]:
    """Return the layers before the last."""
    match work.name:
        case "linear":
            return [layers.Flatten()]
        case "mlp":
            return [layers.Flatten(), layers.Dense(128, activation="relu")]
        case "cnn":
            return [
                layers.Conv2D(16, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Conv2D(32, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(),
                layers.Flatten(),
            ]


def optimizer(work: Work) -> Optimizer:
    """Return the work's optimizer."""
    match work.rule:
        case "sgd":
            return SGD(work.lr)
        case "momentum":
            return SGD(work.lr, momentum=0.9)
        case "adam":
            return Adam(work.lr)
