"""The sweep of `benchmarks.sweeps` in JAX and optax: `vmap` over runs of a `lax.scan`: SEEDS."""

import sys
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax import Array, lax
from jax import numpy as jnp
from sklearn.datasets import load_digits

EPOCHS, BATCH, HIDDEN = 20, 32, 64
TRAIN, VAL = 1257, 270
RATES = [0.0001 * 1.5**n for n in range(16)]


def main() -> None:
    """Train every learning rate with every seed at once, and print the best accuracy."""
    seeds = int(sys.argv[1])
    images, labels = load_digits(return_X_y=True)
    inputs, targets = jnp.asarray((images - 4.88) / 6.02, "float32"), jnp.asarray(labels)
    rates = jnp.repeat(jnp.asarray(RATES), seeds)
    orders = jnp.asarray(np.stack([_orders(seed) for seed in range(seeds)] * len(RATES)))
    keys = jnp.stack([jax.random.key(seed) for seed in range(seeds)] * len(RATES))
    train = jax.jit(jax.vmap(partial(_train, inputs, targets)))
    accuracies = np.asarray(train(keys, rates, orders))
    print(f"{len(rates)} runs, best accuracy {accuracies.max():.4f}")


def _orders(seed: int) -> Any:
    """Return the places of the items in every batch [epochs, batches, BATCH]."""
    generator = np.random.default_rng(seed)
    whole = TRAIN // BATCH * BATCH
    rows = [generator.permutation(TRAIN)[:whole].reshape(-1, BATCH) for _ in range(EPOCHS)]
    return np.stack(rows).astype("int32")


def _train(inputs: Array, targets: Array, key: Array, rate: Array, orders: Array) -> Array:
    """Return the accuracy on the val split after every epoch."""
    first, second = jax.random.split(key)
    params = {
        "w1": jax.random.normal(first, (64, HIDDEN)) * jnp.sqrt(2 / 64),
        "b1": jnp.zeros(HIDDEN),
        "w2": jax.random.normal(second, (HIDDEN, 10)) / jnp.sqrt(HIDDEN),
        "b2": jnp.zeros(10),
    }
    rule = optax.adam(rate)

    def step(carry: Any, index: Array) -> tuple[Any, Array]:
        params, state = carry
        loss, grads = jax.value_and_grad(_loss)(params, inputs[index], targets[index])
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    def epoch(carry: Any, order: Array) -> tuple[Any, Array]:
        carry, _ = lax.scan(step, carry, order)
        rows = slice(TRAIN, TRAIN + VAL)
        preds = _logits(carry[0], inputs[rows]).argmax(-1)
        return carry, (preds == targets[rows]).mean()

    return lax.scan(epoch, (params, rule.init(params)), orders)[1]


def _logits(params: dict[str, Array], inputs: Array) -> Array:
    return jax.nn.relu(inputs @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def _loss(params: dict[str, Array], inputs: Array, targets: Array) -> Array:
    logits = _logits(params, inputs)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


if __name__ == "__main__":
    main()
