"""The transforms, and what rules become with them."""

from functools import partial
from typing import Any

import numpy as np
import torch

from oracles.case import Array, Case, Memory, Step, optax_path, paper, torch_path
from plugins.transform.trust_ratio import Of


def clip_norm(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Pascanu et al. (2013), algorithm 1, for the whole vector."""
    return 0.1 * g * min(1, 3 / (np.linalg.norm(g) + 1e-6))


def clip_value(g: Array, x: Array, s: Memory, t: int) -> Array:
    return 0.1 * np.clip(g, -0.7, 0.7)


def lookahead(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Zhang et al. (2019), algorithm 1, around gradient descent."""
    slow, fast = s.setdefault("slow", x.copy()), x - 0.1 * g
    if t % 3 == 0:
        s["slow"] = fast = slow + 0.3 * (fast - slow)
    return x - fast


def decoupled(g: Array, x: Array, s: Memory, t: int) -> Array:
    return 0.02 * g + 0.02 * 0.3 * x


def independent(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Loshchilov & Hutter (2019), algorithm 1, without momentum or schedule."""
    return 0.02 * g + 0.01 * x


def centralize(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Yong et al. (2020), equation 1, with one output a row."""
    return 0.1 * (g - g.mean(1, keepdims=True) if g.ndim > 1 else g)


def cautious(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Liang et al. (2024), algorithm 1, around momentum."""
    s["v"] = 0.8 * s["v"] + g
    kept = s["v"] * g > 0
    return 0.5 * s["v"] * kept * g.size / (kept.sum() + 1)


def lamb(g: Array, x: Array, s: Memory, t: int, most: float = np.inf) -> Array:
    """You et al. (2020), algorithm 2, with φ(z) = z."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    m, v = s["m"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)
    r = m / (np.sqrt(v) + 1e-3) + 0.3 * x
    return 0.02 * min(ratio(x, r), most) * r


def lars(g: Array, x: Array, s: Memory, t: int) -> Array:
    """You et al. (2017), algorithm 1, with ‖g + λ θ‖ for ‖g‖ + λ ‖θ‖, and lr outside."""
    g = g + 0.3 * x
    s["v"] = 0.8 * s["v"] + ratio(x, g, 0.1) * g
    return 0.5 * s["v"]


def ratio(x: Array, u: Array, coefficient: float = 1) -> float:
    """Return τ ‖x‖ / ‖u‖, or 1 where a norm is 0."""
    norms = np.linalg.norm(x), np.linalg.norm(u)
    return float(coefficient * norms[0] / norms[1]) if all(norms) else 1.0


def plain(step: Step, lr: float = 0.1, *, whole: bool = False, **transforms: Any) -> Case:
    """Return the case of gradient descent with transforms."""
    return Case("sgd", "NumPy", paper(step, whole=whole), {"lr": lr}, transforms)


ADAM = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3}
TORCH: dict[str, Any] = {"lr": 0.02, "betas": (0.85, 0.98), "eps": 1e-3, "weight_decay": 0.3}
OPTAX = {"learning_rate": 0.02, "b1": 0.85, "b2": 0.98, "eps": 1e-3, "weight_decay": 0.3}
HEAVY = {"lr": 0.5, "momentum": 0.8}
LARS = {
    "weight_decay": {"weight_decay": 0.3},
    "trust_ratio": {"of": Of.gradient, "trust": 0.1},
}
DECOUPLED = {"weight_decay": {"weight_decay": 0.3, "decoupled": True}}

CASES = [
    plain(clip_norm, whole=True, clip_norm={"max_norm": 3.0}),
    plain(clip_value, clip_value={"limit": 0.7}),
    plain(lookahead, lookahead={"every": 3, "alpha": 0.3}),
    plain(centralize, centralize={}),
    Case(
        "sgd",
        "optax.centralize",
        optax_path(lambda o: o.chain(o.centralize(), o.sgd(0.1))),
        {"lr": 0.1},
        {"centralize": {}},
    ),
    Case("momentum", "NumPy", paper(cautious), HEAVY, {"cautious": {}}),
    plain(decoupled, lr=0.02, **DECOUPLED),
    plain(
        independent,
        lr=0.02,
        weight_decay={"weight_decay": 0.01, "decoupled": True, "independent": True},
    ),
    Case(
        "adam",
        "torch.optim.AdamW",
        torch_path(lambda p: torch.optim.AdamW(p, **TORCH)),
        ADAM,
        DECOUPLED,
    ),
    Case(
        "amsgrad",
        "torch.optim.AdamW",
        torch_path(lambda p: torch.optim.AdamW(p, amsgrad=True, **TORCH)),
        ADAM,
        DECOUPLED,
    ),
    Case(
        "nadam",
        "torch.optim.NAdam",
        torch_path(lambda p: torch.optim.NAdam(p, decoupled_weight_decay=True, **TORCH)),
        ADAM,
        DECOUPLED,
        tolerance=1e-7,  # as in core
    ),
    Case("adamw", "NumPy", paper(lamb), ADAM | {"weight_decay": 0.3}, {"trust_ratio": {}}),
    Case(
        "adamw",
        "optax.lamb",
        optax_path(lambda o: o.lamb(**OPTAX)),
        ADAM | {"weight_decay": 0.3},
        {"trust_ratio": {}},
    ),
    Case(
        "adam",
        "NumPy",
        paper(partial(lamb, most=0.5)),
        ADAM,
        DECOUPLED | {"trust_ratio": {"clip": 0.5}},
    ),
    Case("momentum", "NumPy", paper(lars), HEAVY, LARS),
    Case(
        "momentum",
        "optax.lars",
        optax_path(lambda o: o.lars(0.5, weight_decay=0.3, trust_coefficient=0.1, momentum=0.8)),
        HEAVY,
        LARS,
    ),
]
