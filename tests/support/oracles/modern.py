"""The rules that came after Adam."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from descents import Gradient
from torch import Tensor

from oracles.case import MATRIX, Array, Case, Memory, Path, optax_path, paper, torch_path
from oracles.transforms import ratio


def kozistr(name: str, **options: Any) -> Path:
    """Follow an optimizer of pytorch_optimizer."""
    return torch_path(lambda p: getattr(_pytorch_optimizer(), name)(p, **options))


def _pytorch_optimizer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pytorch_optimizer")


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


def adopt(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Taniguchi et al. (2024), algorithm 2, whose step t - 1 is step t here."""
    v, s["v"] = s["v"], 0.9 * s["v"] + 0.1 * g**2 if t > 1 else g**2
    if t == 1:
        return np.zeros_like(x)
    n = np.clip(g / np.maximum(np.sqrt(v), 0.3), -((t - 1) ** 0.25), (t - 1) ** 0.25)
    s["m"] = 0.85 * s["m"] + 0.15 * n
    step: Array = 0.02 * (s["m"] + 0.3 * x)
    return step


ADOPT = {"lr": 0.02, "beta1": 0.85, "beta2": 0.9, "eps": 0.3, "weight_decay": 0.3}


def lamb(g: Array, x: Array, s: Memory, t: int) -> Array:
    """You et al. (2020), algorithm 2."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    m, v = s["m"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)
    r = m / (np.sqrt(v) + 1e-3) + 0.3 * x
    return 0.02 * ratio(x, r) * r


LAMB = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.3}


def ademamix(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Pagliardini et al. (2024), algorithm 1, with the schedules of equations 2 and 3."""
    alpha = min(t * 4 / 30, 4)
    first, last, share = np.log(0.85), np.log(0.99), t / 30
    beta3 = min(np.exp(first * last / ((1 - share) * last + share * first)), 0.99)
    s["m1"] = 0.85 * s["m1"] + 0.15 * g
    s["m2"] = beta3 * s["m2"] + (1 - beta3) * g
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    m1, v = s["m1"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)
    step: Array = 0.01 * ((m1 + alpha * s["m2"]) / (np.sqrt(v) + 1e-3) + 0.3 * x)
    return step


ADEMAMIX = {"lr": 0.01, "beta1": 0.85, "beta2": 0.98, "beta3": 0.99, "alpha": 4.0, "eps": 1e-3}
ADEMAMIX |= {"weight_decay": 0.3}


def mars(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Yuan et al. (2024), algorithm 2, with x_0 = x_1 and the gradient of the step before."""
    before, s["g"] = s["g"] if t > 1 else g, g
    c = g + 0.1 * 0.85 / (1 - 0.85) * (g - before)
    c = c / max(1, np.linalg.norm(c))
    s["m"] = 0.85 * s["m"] + 0.15 * c
    s["v"] = 0.98 * s["v"] + 0.02 * c**2
    m, v = s["m"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)
    step: Array = 0.02 * (m / (np.sqrt(v) + 1e-3) + 0.3 * x)
    return step


MARS = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "gamma": 0.1, "eps": 1e-3, "weight_decay": 0.3}


def kozistr_mars(gradient: Gradient, start: Tensor) -> Tensor:
    """Follow pytorch_optimizer's, with the first gradient as the one before it."""

    def make(parts: list[Tensor]) -> torch.optim.Optimizer:
        options = {"gamma": 0.1, "eps": 0.0, "weight_decay": 0.3, "optimize_1d": True}
        first = gradient(1, start)
        rule = _pytorch_optimizer().MARS(parts, 0.02, (0.85, 0.98), **options)
        for part, grad in zip(parts, (first[:24].view(MATRIX), first[24:]), strict=True):
            zeros = {name: torch.zeros_like(part) for name in ("exp_avg", "exp_avg_sq")}
            rule.state[part] = zeros | {"last_grad": grad.clone()}
        return rule

    return torch_path(make)(gradient, start)


def adafactor(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Shazeer & Stern (2018), algorithms 4 and 5, with 0.3 for the largest rate of 0.01."""
    beta = 1 - t**-0.6
    if g.ndim == 2:
        s["R"] = beta * s["R"] + (1 - beta) * (g**2 + 1e-3).sum(1)
        s["C"] = beta * s["C"] + (1 - beta) * (g**2 + 1e-3).sum(0)
        v = np.outer(s["R"], s["C"]) / s["R"].sum()
    else:
        v = s["v"] = beta * s["v"] + (1 - beta) * (g**2 + 1e-3)
    u = g / np.sqrt(v)
    u = u / max(1, np.sqrt((u**2).mean()) / 1.05)
    rate = max(0.5, np.sqrt((x**2).mean())) * min(0.3, 1 / np.sqrt(t))
    step: Array = rate * u + 0.3 * 0.2 * x
    return step


ADAFACTOR = {"lr": 0.3, "tau": -0.6, "eps1": 1e-3, "eps2": 0.5, "clip": 1.05, "weight_decay": 0.2}


def optax_adafactor(optax: Any) -> Any:
    """Return optax's with the paper's rate, and torch's decay, which is multiplied by lr."""
    options = {"decay_rate": 0.6, "clipping_threshold": 1.05, "weight_decay_rate": 0.3 * 0.2}
    return optax.adafactor(lambda n: ((n + 1.0) ** -0.5).clip(max=0.3), 1, eps=1e-3, **options)


def schedule_free_sgd(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Defazio et al. (2024), equations 2 to 4, of which x here is y."""
    if t == 1:
        s["z"] = s["x"] = x
    s["z"] = s["z"] - 0.2 * (g + 0.3 * x)
    s["x"] = (1 - 1 / t) * s["x"] + s["z"] / t
    step: Array = x - (0.2 * s["z"] + 0.8 * s["x"])
    return step


SCHEDULE_FREE = {"lr": 0.2, "beta": 0.8, "weight_decay": 0.3}


def optax_schedule_free(optax: Any) -> Any:
    """Return optax's around gradient descent."""
    descent = optax.chain(optax.add_decayed_weights(0.3), optax.sgd(0.2))
    return optax.contrib.schedule_free(descent, 0.2, 0.8)


def adabelief(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Zhuang et al. (2020), algorithm 2."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["s"] = 0.98 * s["s"] + 0.02 * (g - s["m"]) ** 2 + 1e-3
    step: Array = 0.02 * s["m"] / (1 - 0.85**t) / (np.sqrt(s["s"] / (1 - 0.98**t)) + 1e-3)
    return step + 0.02 * 0.3 * x  # with the transform of decay


ADABELIEF = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3}


def yogi(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Zaheer et al. (2018), algorithm 2, from a second moment above 0."""
    v = s["v"] if t > 1 else np.full_like(x, 0.1)
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["v"] = v - 0.02 * np.sign(v - g**2) * g**2
    step: Array = 0.02 * (s["m"] / (np.sqrt(s["v"]) + 1e-3) + 0.3 * x)  # with that of decay
    return step


YOGI = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3, "initial": 0.1}


def optax_yogi(optax: Any) -> Any:
    """Return optax's with an average of gradients that begins at 0."""
    yogi = optax.scale_by_yogi(0.85, 0.98, 1e-3, initial_accumulator_value=0.1)

    def init(params: Any) -> Any:
        state = yogi.init(params)
        return state._replace(mu=optax.tree.zeros_like(state.mu))

    start = optax.GradientTransformation(init, yogi.update)
    return optax.chain(start, optax.scale_by_learning_rate(0.02))


def adan(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Xie et al. (2022), algorithm 1, in the paper's numbers, with the biases corrected."""
    b1, b2, b3 = 0.15, 0.2, 0.03
    d, s["g"] = g - s["g"] if t > 1 else 0 * g, g
    s["m"] = (1 - b1) * s["m"] + b1 * g
    s["v"] = (1 - b2) * s["v"] + b2 * d
    s["n"] = (1 - b3) * s["n"] + b3 * (g + (1 - b2) * d) ** 2
    m, v, n = (s[k] / (1 - (1 - b) ** t) for k, b in (("m", b1), ("v", b2), ("n", b3)))
    step: Array = x - (x - 0.02 * (m + (1 - b2) * v) / (np.sqrt(n) + 1e-3)) / (1 + 0.3 * 0.02)
    return step


ADAN = {"lr": 0.02, "beta1": 0.85, "beta2": 0.8, "beta3": 0.97, "eps": 1e-3, "weight_decay": 0.3}


def lars(g: Array, x: Array, s: Memory, t: int) -> Array:
    """You et al. (2017), algorithm 1 and equation 6, with a rate of 1 for what is 0."""
    size = np.linalg.norm(x)
    rate = 0.01 * size / (np.linalg.norm(g) + 0.3 * size) if size else 1
    s["v"] = 0.8 * s["v"] + 2 * rate * (g + 0.3 * x)
    step: Array = s["v"]
    return step


LARS = {"lr": 2.0, "momentum": 0.8, "trust": 0.01, "weight_decay": 0.3}


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
    Case("adopt", "NumPy", paper(adopt), ADOPT),
    Case(
        "adopt",
        "optax.contrib.adopt",
        optax_path(lambda o: o.contrib.adopt(0.02, 0.85, 0.9, 0.3)),
        ADOPT | {"weight_decay": 0.0},
    ),
    Case(
        "adopt",
        "pytorch_optimizer.ADOPT",
        # By itself its bound is that of a step later, a difference of some per cent.
        kozistr(
            "ADOPT", lr=0.02, betas=(0.85, 0.9), eps=0.3, clip_lambda=lambda t: (t - 1) ** 0.25
        ),
        ADOPT | {"weight_decay": 0.0},
    ),
    # pytorch_optimizer.Lamb is another rule: the biases of both moments stay in what the ratio is
    # of, and the norm of the parameter is at most 10.
    Case("lamb", "NumPy", paper(lamb), LAMB),
    Case(
        "lamb",
        "optax.lamb",
        optax_path(lambda o: o.lamb(0.02, 0.85, 0.98, 1e-3, weight_decay=0.3)),
        LAMB,
    ),
    Case("ademamix", "NumPy", paper(ademamix), ADEMAMIX | {"warmup": 30.0}),
    Case(
        "ademamix",
        "optax.contrib.ademamix",
        optax_path(
            lambda o: o.contrib.ademamix(0.01, 0.85, 0.98, 0.99, 4.0, 1e-3, weight_decay=0.3)
        ),
        ADEMAMIX,
    ),
    Case(
        "ademamix",
        "pytorch_optimizer.AdEMAMix",
        kozistr(
            "AdEMAMix",
            lr=0.01,
            betas=(0.85, 0.98, 0.99),
            eps=1e-3,
            alpha=4.0,
            t_alpha_beta3=30,
            weight_decay=0.3,
            weight_decouple=True,
        ),
        ADEMAMIX | {"warmup": 30.0},
    ),
    Case("mars", "NumPy", paper(mars), MARS),
    # It adds 1e-15 to the second moment, and ε before the correction of bias.
    Case("mars", "pytorch_optimizer.MARS", kozistr_mars, MARS | {"eps": 0.0}, tolerance=1e-7),
    Case("adafactor", "NumPy", paper(adafactor), ADAFACTOR),
    Case(
        "adafactor",
        "torch.optim.Adafactor",
        torch_path(
            lambda p: torch.optim.Adafactor(
                p, 0.3, beta2_decay=-0.6, eps=(0.5, 0.5), d=1.05, weight_decay=0.2
            )
        ),
        ADAFACTOR | {"eps1": 0.5, "floor": True},
    ),
    # Its time is in float32, and its least size of a parameter is fixed.
    Case(
        "adafactor",
        "optax.adafactor",
        optax_path(optax_adafactor),
        ADAFACTOR | {"eps2": 1e-3},
        tolerance=1e-6,
    ),
    # What is evaluated is compared in test_schedule_free.py, with the authors' package.
    Case("schedule_free_sgd", "NumPy", paper(schedule_free_sgd), SCHEDULE_FREE),
    Case(
        "schedule_free_sgd",
        "optax.contrib.schedule_free",
        optax_path(optax_schedule_free),
        SCHEDULE_FREE,
    ),
    Case(
        "schedule_free_sgd",
        "pytorch_optimizer.ScheduleFreeSGD",
        kozistr("ScheduleFreeSGD", lr=0.2, momentum=0.8, weight_decay=0.3),
        SCHEDULE_FREE,
    ),
    Case("adabelief", "NumPy", paper(adabelief), ADABELIEF, DECAY),
    Case(
        "adabelief",
        "optax.adabelief",
        optax_path(lambda o: o.adabelief(0.02, 0.85, 0.98, 1e-3, 1e-3)),
        ADABELIEF,
    ),
    Case(
        "adabelief",
        "pytorch_optimizer.AdaBelief",
        kozistr("AdaBelief", lr=0.02, betas=(0.85, 0.98), eps=1e-3, rectify=False),
        ADABELIEF,
    ),
    Case("yogi", "NumPy", paper(yogi), YOGI | {"bias_correction": False}, DECAY),
    Case("yogi", "optax.yogi", optax_path(optax_yogi), YOGI),
    # optax.adan is another rule: it has 1 - β₂ in the place of β₂.
    Case("adan", "NumPy", paper(adan), ADAN),
    Case(
        "adan",
        "pytorch_optimizer.Adan",
        kozistr("Adan", lr=0.02, betas=(0.85, 0.8, 0.97), eps=1e-3, weight_decay=0.3),
        ADAN,
    ),
    Case(
        "adan",
        "pytorch_optimizer.Adan",
        kozistr(
            "Adan",
            lr=0.02,
            betas=(0.85, 0.8, 0.97),
            eps=1e-3,
            weight_decay=0.3,
            weight_decouple=True,
        ),
        ADAN | {"proximal": False},
    ),
    Case("lars", "NumPy", paper(lars), LARS),
    # pytorch_optimizer.LARS neither scales nor decays vectors.
    Case(
        "lars",
        "optax.lars",
        optax_path(lambda o: o.lars(2.0, 0.3, trust_coefficient=0.01, momentum=0.8)),
        LARS | {"joint": True},
    ),
]
