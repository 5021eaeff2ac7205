"""The rules that torch has."""

import numpy as np
import torch

from oracles.case import Array, Case, Memory, optax_path, paper, torch_path


def adam(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Kingma & Ba (2015), algorithm 1."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    m, v = s["m"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)
    step: Array = 0.02 * m / (np.sqrt(v) + 1e-3)
    return step


ADAM = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3}
CASES = [
    Case("adam", "NumPy", paper(adam), ADAM),
    Case(
        "adam",
        "torch.optim.Adam",
        torch_path(lambda p: torch.optim.Adam(p, 0.02, (0.85, 0.98), eps=1e-3)),
        ADAM,
    ),
    Case("adam", "optax.adam", optax_path(lambda o: o.adam(0.02, 0.85, 0.98, 1e-3)), ADAM),
]
