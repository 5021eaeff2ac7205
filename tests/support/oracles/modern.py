"""The rules that came after Adam."""

import warnings
from typing import Any

import numpy as np
from descents import Gradient
from torch import Tensor

from oracles.case import Array, Case, Memory, Path, optax_path, paper, torch_path


def kozistr(name: str, **options: Any) -> Path:
    """Follow an optimizer of pytorch_optimizer."""

    def path(gradient: Gradient, start: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pytorch_optimizer
        make = getattr(pytorch_optimizer, name)
        return torch_path(lambda p: make(p, **options))(gradient, start)

    return path


def lion(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Chen et al. (2023), algorithm 2."""
    sign = np.sign(0.8 * s["m"] + 0.2 * g)
    s["m"] = 0.95 * s["m"] + 0.05 * g
    step: Array = 0.02 * (sign + 0.3 * x)
    return step


LION = {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.3}


def signum(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Bernstein et al. (2018), algorithm 2."""
    s["m"] = 0.8 * s["m"] + 0.2 * g
    step: Array = 0.02 * (np.sign(s["m"]) + 0.3 * x)  # with the transform of decay
    return step


SIGNUM = {"lr": 0.02, "beta": 0.8}
DECAY = {"weight_decay": {"weight_decay": 0.3, "decoupled": True}}


CASES: list[Case] = [
    Case("lion", "NumPy", paper(lion), LION),
    Case("lion", "optax.lion", optax_path(lambda o: o.lion(0.02, 0.8, 0.95, None, 0.3)), LION),
    Case(
        "lion",
        "pytorch_optimizer.Lion",
        kozistr("Lion", lr=0.02, betas=(0.8, 0.95), weight_decay=0.3),
        LION,
    ),
    Case("signum", "NumPy", paper(signum), SIGNUM, DECAY),
    Case("signum", "optax.signum", optax_path(lambda o: o.signum(0.02, 0.8)), SIGNUM),
    Case(
        "signum", "optax.sign_sgd", optax_path(lambda o: o.sign_sgd(0.02)), SIGNUM | {"beta": 0.0}
    ),
    Case("signum", "pytorch_optimizer.SignSGD", kozistr("SignSGD", lr=0.02, momentum=0.8), SIGNUM),
]
