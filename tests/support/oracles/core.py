"""The rules that torch has, and those that came before."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from oracles.case import Array, Case, Memory, Step, optax_path, paper, torch_path
from plugins.optimizer.amsgrad import Of
from plugins.optimizer.muon import Scale

DECAY = 0.05  # joined to the gradient


def sgd(g: Array, x: Array, s: Memory, t: int) -> Array:
    return 0.1 * g


def momentum(g: Array, x: Array, s: Memory, t: int, *, dampening: float = 0) -> Array:
    """Polyak (1964), with lr outside."""
    s["v"] = 0.8 * s["v"] + (1 - dampening) * g
    return 0.03 * s["v"]


def nesterov(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Sutskever et al. (2013), written for the iterate that looks ahead."""
    s["v"] = 0.8 * s["v"] + g
    return 0.03 * (g + 0.8 * s["v"])


def adagrad(
    g: Array, x: Array, s: Memory, t: int, *, initial: float = 0, inside: bool = False
) -> Array:
    """Duchi et al. (2011)."""
    s["G"] = s["G"] + g**2
    return 0.1 * g / root(initial + s["G"], 1e-3, inside=inside)


def rmsprop(
    g: Array, x: Array, s: Memory, t: int, *, centered: bool = False, inside: bool = False
) -> Array:
    """Tieleman & Hinton (2012); Graves (2013), equations 38 to 41."""
    s["v"] = 0.95 * s["v"] + 0.05 * g**2
    s["a"] = 0.95 * s["a"] + 0.05 * g
    square = s["v"] - s["a"] ** 2 if centered else s["v"]
    s["b"] = 0.7 * s["b"] + g / root(square, 1e-3, inside=inside)
    return 0.01 * s["b"]


def adadelta(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Zeiler (2012), algorithm 1."""
    s["v"] = 0.8 * s["v"] + 0.2 * g**2
    d = np.sqrt(s["u"] + 1e-3) / np.sqrt(s["v"] + 1e-3) * g
    s["u"] = 0.8 * s["u"] + 0.2 * d**2
    return 0.5 * d


def adam(
    g: Array, x: Array, s: Memory, t: int, *, corrected: bool = True, inside: bool = False
) -> Array:
    """Kingma & Ba (2015), algorithm 1."""
    m, v = moments(g, s, t, corrected=corrected)
    return 0.02 * m / root(v, 1e-3, inside=inside)


def adamw(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Loshchilov & Hutter (2019), algorithm 2; the decay is multiplied by lr."""
    m, v = moments(g, s, t)
    return 0.02 * (m / (np.sqrt(v) + 1e-3) + 0.3 * x)


def amsgrad(
    g: Array, x: Array, s: Memory, t: int, *, corrected: bool = True, before: bool = True
) -> Array:
    """Reddi et al. (2018), algorithm 2, which corrects nothing; and both forms of libraries."""
    m, v = moments(g, s, t, corrected=corrected)
    s["V"] = np.maximum(s["V"], s["v"] if before else v)
    largest = s["V"] / (1 - 0.98**t) if corrected and before else s["V"]
    return 0.02 * m / (np.sqrt(largest) + 1e-3)


def adamax(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Kingma & Ba (2015), algorithm 2, with torch's ε."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["u"] = np.maximum(0.98 * s["u"], np.abs(g) + 1e-3)
    return 0.02 / (1 - 0.85**t) * s["m"] / s["u"]


def nadam(g: Array, x: Array, s: Memory, t: int, *, psi: float = 0.01) -> Array:
    """Dozat (2016), with his schedule of the momentum; `psi` infinite makes it constant."""
    mu = [0.85 * (1 - 0.5 * 0.96 ** (k * psi)) for k in range(1, t + 2)]
    _, v = moments(g, s, t)
    ahead = (1 - mu[-2]) * g / (1 - np.prod(mu[:-1])) + mu[-1] * s["m"] / (1 - np.prod(mu))
    return 0.02 * ahead / (np.sqrt(v) + 1e-3)


def nadamw(g: Array, x: Array, s: Memory, t: int) -> Array:
    return nadam(g, x, s, t, psi=np.inf) + 0.02 * 0.3 * x


def radam(
    g: Array, x: Array, s: Memory, t: int, *, least: float = 5, corrected: bool = False
) -> Array:
    """Liu et al. (2020), algorithm 2, with ε as in its authors' code, or as in optax."""
    m, v = moments(g, s, t)
    most = 2 / (1 - 0.98) - 1
    rho = most - 2 * t * 0.98**t / (1 - 0.98**t)
    if rho <= least:
        return 0.02 * m
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    eps = 1e-3 if corrected else 1e-3 / np.sqrt(1 - 0.98**t)
    return 0.02 * r * m / (np.sqrt(v) + eps)


def rprop(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Riedmiller & Braun (1993), in the form of iRprop- (Igel & Hüsken, 2000) as torch has it."""
    before, size = s["g"] + 0 * g, s["size"] if t > 1 else np.full_like(g, 0.05)
    grown, shrunk = np.minimum(1.3 * size, 0.2), np.maximum(0.6 * size, 0.01)
    s["size"] = np.where(g * before > 0, grown, np.where(g * before < 0, shrunk, size))
    s["g"] = np.where(g * before < 0, 0, g)
    return s["size"] * np.sign(s["g"])


def muon(
    g: Array, x: Array, s: Memory, t: int, *, nesterov: bool = True, scale: str = "original"
) -> Array:
    """Jordan et al. (2024), in float64; its lengths are those of torch's `adjust_lr_fn`."""
    g, x = np.atleast_2d(g), np.atleast_2d(x)
    s["b"] = 0.8 * s["b"] + 0.2 * g
    o = 0.2 * g + 0.8 * s["b"] if nesterov else s["b"]
    o = o / (np.linalg.norm(o) + 1e-7)
    for _ in range(5):
        gram = o @ o.T
        o = 3.4445 * o + (-4.7750 * gram + 2.0315 * gram @ gram) @ o
    outputs, inputs = g.shape
    length = {
        "original": np.sqrt(max(1, outputs / inputs)),
        "match_rms_adamw": 0.2 * np.sqrt(max(outputs, inputs)),
        "spectral_unclamped": np.sqrt(outputs / inputs),
    }[scale]
    step = 0.05 * (length * o + 0.3 * x)
    return step.reshape(-1) if len(g) == 1 else step


def prodigy(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Mishchenko & Defazio (2023), algorithm 4, with the decay of the authors' package."""
    start, d = s.setdefault("start", x.copy()), s.setdefault("d", 1e-3)
    s["m"] = 0.8 * s["m"] + 0.2 * d * g
    s["v"] = 0.95 * s["v"] + 0.05 * d**2 * g**2
    s["r"] = np.sqrt(0.95) * s["r"] + d / 1e-3 * d * 0.5 * g @ (start - x)
    s["s"] = np.sqrt(0.95) * s["s"] + d / 1e-3 * d * 0.5 * g
    s["d"] = max(d, s["r"] / np.abs(s["s"]).sum())
    return d * 0.5 * (s["m"] / (np.sqrt(s["v"]) + s["d"] * 1e-3) + 0.3 * x)


def schedule_free_adamw(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Defazio et al. (2024), algorithm 1; `x` is their y, and the average is their x."""
    z, average = s.setdefault("z", x.copy()), s.setdefault("average", x.copy())
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    v = s["v"] / (1 - 0.98**t)
    s["z"] = z - 0.02 * (g / (np.sqrt(v) + 1e-3) + 0.3 * x)
    s["average"] = (1 - 1 / t) * average + s["z"] / t
    return x - (0.2 * s["z"] + 0.8 * s["average"])


def moments(g: Array, s: Memory, t: int, *, corrected: bool = True) -> tuple[Array, Array]:
    """Go on with the averages of Adam's kind, and return them."""
    s["m"] = 0.85 * s["m"] + 0.15 * g
    s["v"] = 0.98 * s["v"] + 0.02 * g**2
    return (s["m"] / (1 - 0.85**t), s["v"] / (1 - 0.98**t)) if corrected else (s["m"], s["v"])


def root(square: Array, eps: float, *, inside: bool) -> Array:
    return np.sqrt(square + eps) if inside else np.sqrt(square) + eps


def given(
    rule: str,
    step: Step,
    fields: Mapping[str, Any],
    torchs: partial[Any] | None = None,
    optaxs: tuple[str, Mapping[str, Any]] | None = None,
    decay: float = DECAY,
    *,
    whole: bool = False,
    tolerance: float = 1e-10,
) -> list[Case]:
    """Return a rule's cases with decay joined to the gradient: of the paper, and of libraries.

    `tolerance` is that of torch.
    """
    transforms = {"weight_decay": {"weight_decay": decay}} if decay else {}
    path = paper(lambda g, x, s, t: step(g + decay * x, x, s, t), whole=whole)
    cases = [Case(rule, "NumPy", path, fields, transforms)]
    if torchs is not None:
        make = partial(torchs, weight_decay=decay) if decay else torchs
        name = f"torch.optim.{torchs.func.__name__}"
        cases.append(Case(rule, name, torch_path(make), fields, transforms, tolerance))
    if optaxs is not None:
        name, numbers = optaxs

        def made(o: Any) -> Any:
            return o.chain(o.add_decayed_weights(decay), getattr(o, name)(**numbers))

        cases.append(Case(rule, f"optax.{name}", optax_path(made), fields, transforms))
    return cases


ADAM = {"lr": 0.02, "beta1": 0.85, "beta2": 0.98, "eps": 1e-3}
BETAS = (0.85, 0.98)
OPTAX = {"learning_rate": 0.02, "b1": 0.85, "b2": 0.98}
SGD, RMS = torch.optim.SGD, torch.optim.RMSprop
HEAVY = {"lr": 0.03, "momentum": 0.8}
RMSPROP = {"lr": 0.01, "decay": 0.95, "eps": 1e-3, "momentum": 0.7}
RMSPROP_OPTAX = {"learning_rate": 0.01, "decay": 0.95, "eps": 1e-3, "momentum": 0.7}

MUON = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.3}


def optax_muon(o: Any) -> Any:
    """Return optax's Muon with columns for inputs, and with the vector as a matrix of one row."""
    rows = o.contrib.MuonDimensionNumbers(reduction_axis=(1,), output_axis=(0,))
    inner = o.contrib.muon(
        0.05,
        beta=0.8,
        eps=1e-7,
        weight_decay=0.3,
        nesterov=False,
        muon_weight_dimension_numbers=[rows, rows],
    )

    def matrices(vectors: Any) -> Any:
        return [vector if vector.ndim > 1 else vector[None] for vector in vectors]

    def update(grads: Any, state: Any, params: Any) -> Any:
        steps, state = inner.update(matrices(grads), state, matrices(params))
        return [step.reshape(g.shape) for step, g in zip(steps, grads, strict=True)], state

    return o.GradientTransformation(lambda params: inner.init(matrices(params)), update)


CASES = [
    *given("sgd", sgd, {"lr": 0.1}, partial(SGD, lr=0.1), ("sgd", {"learning_rate": 0.1})),
    *given(
        "momentum",
        momentum,
        HEAVY,
        partial(SGD, lr=0.03, momentum=0.8),
        ("sgd", {"learning_rate": 0.03, "momentum": 0.8}),
    ),
    *given("momentum", momentum, HEAVY | {"lr_inside": True}),
    # Not torch's SGD(dampening=0.8), whose first gradient is not dampened.
    *given("momentum", partial(momentum, dampening=0.8), HEAVY | {"dampened": True}),
    *given(
        "nesterov",
        nesterov,
        HEAVY,
        partial(SGD, lr=0.03, momentum=0.8, nesterov=True),
        ("sgd", {"learning_rate": 0.03, "momentum": 0.8, "nesterov": True}),
    ),
    *given("nesterov", nesterov, HEAVY | {"lr_inside": True}),
    *given(
        "adagrad",
        adagrad,
        {"lr": 0.1, "eps": 1e-3},
        partial(torch.optim.Adagrad, lr=0.1, eps=1e-3),
    ),
    *given(
        "adagrad",
        partial(adagrad, initial=0.1, inside=True),
        {"lr": 0.1, "eps": 1e-3, "initial": 0.1, "eps_inside_sqrt": True},
        optaxs=("adagrad", {"learning_rate": 0.1, "eps": 1e-3}),
    ),
    *given(
        "rmsprop",
        rmsprop,
        RMSPROP,
        partial(RMS, lr=0.01, alpha=0.95, eps=1e-3, momentum=0.7),
        ("rmsprop", RMSPROP_OPTAX | {"eps_in_sqrt": False}),
    ),
    *given(
        "rmsprop",
        partial(rmsprop, centered=True),
        RMSPROP | {"centered": True},
        partial(RMS, lr=0.01, alpha=0.95, eps=1e-3, momentum=0.7, centered=True),
    ),
    *given(
        "rmsprop",
        partial(rmsprop, centered=True, inside=True),
        RMSPROP | {"centered": True, "eps_inside_sqrt": True},
        optaxs=("rmsprop", RMSPROP_OPTAX | {"centered": True}),
    ),
    *given(
        "adadelta",
        adadelta,
        {"lr": 0.5, "decay": 0.8, "eps": 1e-3},
        partial(torch.optim.Adadelta, lr=0.5, rho=0.8, eps=1e-3),
        ("adadelta", {"learning_rate": 0.5, "rho": 0.8, "eps": 1e-3}),
    ),
    *given(
        "adam",
        adam,
        ADAM,
        partial(torch.optim.Adam, lr=0.02, betas=BETAS, eps=1e-3),
        ("adam", OPTAX | {"eps": 1e-3}),
    ),
    *given(
        "adam",
        partial(adam, inside=True),
        ADAM | {"eps_inside_sqrt": True},
        optaxs=("adam", OPTAX | {"eps": 0, "eps_root": 1e-3}),
    ),
    *given("adam", partial(adam, corrected=False), ADAM | {"bias_correction": False}),
    *given(
        "adam",
        partial(adam, corrected=False, inside=True),
        ADAM | {"bias_correction": False, "eps_inside_sqrt": True},
    ),
    *given(
        "adamw",
        adamw,
        ADAM | {"weight_decay": 0.3},
        partial(torch.optim.AdamW, lr=0.02, betas=BETAS, eps=1e-3, weight_decay=0.3),
        ("adamw", OPTAX | {"eps": 1e-3, "weight_decay": 0.3}),
        decay=0,
    ),
    # torch and optax take the largest before and after the correction, the paper corrects nothing.
    *given(
        "amsgrad",
        amsgrad,
        ADAM,
        partial(torch.optim.Adam, lr=0.02, betas=BETAS, eps=1e-3, amsgrad=True),
    ),
    *given(
        "amsgrad",
        partial(amsgrad, before=False),
        ADAM | {"largest": Of.corrected},
        optaxs=("amsgrad", OPTAX | {"eps": 1e-3}),
    ),
    *given("amsgrad", partial(amsgrad, corrected=False), ADAM | {"bias_correction": False}),
    *given(
        "adamax",
        adamax,
        ADAM,
        partial(torch.optim.Adamax, lr=0.02, betas=BETAS, eps=1e-3),
        ("adamax", OPTAX | {"eps": 1e-3}),
    ),
    # torch keeps the product of momentums in float32.
    *given(
        "nadam",
        nadam,
        ADAM | {"psi": 0.01},
        partial(torch.optim.NAdam, lr=0.02, betas=BETAS, eps=1e-3, momentum_decay=0.01),
        tolerance=1e-7,
    ),
    # torch's momentum_decay=0 is a momentum of β₁/2 for ever, and no constant β₁.
    *given(
        "nadam",
        partial(nadam, psi=np.inf),
        ADAM | {"rising": False},
        partial(torch.optim.NAdam, lr=0.02, betas=BETAS, eps=1e-3, momentum_decay=1e6),
        ("nadam", OPTAX | {"eps": 1e-3}),
        tolerance=1e-7,
    ),
    *given(
        "nadamw",
        nadamw,
        ADAM | {"weight_decay": 0.3},
        partial(
            torch.optim.NAdam,
            lr=0.02,
            betas=BETAS,
            eps=1e-3,
            momentum_decay=1e6,
            weight_decay=0.3,
            decoupled_weight_decay=True,
        ),
        ("nadamw", OPTAX | {"eps": 1e-3, "weight_decay": 0.3}),
        decay=0,
        tolerance=1e-7,
    ),
    *given(
        "radam",
        radam,
        ADAM,
        partial(torch.optim.RAdam, lr=0.02, betas=BETAS, eps=1e-3),
    ),
    *given(
        "radam",
        partial(radam, least=7, corrected=True),
        ADAM | {"eps_corrected": True, "threshold": 7.0},
        optaxs=("radam", OPTAX | {"eps": 1e-3, "threshold": 7.0}),
    ),
    # Not optax.rprop: it compares with a gradient that is one step too old.
    *given(
        "rprop",
        rprop,
        {"lr": 0.05, "grow": 1.3, "shrink": 0.6, "shortest": 0.2, "longest": 4.0},
        partial(torch.optim.Rprop, lr=0.05, etas=(0.6, 1.3), step_sizes=(0.01, 0.2)),
        decay=0,
    ),
    *(
        Case(
            "muon",
            "NumPy",
            paper(partial(muon, scale=own.value)),
            MUON | {"scale": own},
            matrices=True,
        )
        for own in Scale
    ),
    Case(
        "muon",
        "NumPy",
        paper(partial(muon, nesterov=False)),
        MUON | {"nesterov": False},
        matrices=True,
    ),
    # With Nesterov's momentum optax corrects the bias of both of its parts, and without it that of
    # what meets the 1e-7.
    Case(
        "muon",
        "optax.contrib.muon",
        optax_path(optax_muon),
        MUON | {"nesterov": False},
        tolerance=1e-7,
        matrices=True,
    ),
    *given(
        "prodigy",
        prodigy,
        {"lr": 0.5, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3, "d0": 1e-3},
        decay=0,
        whole=True,
    ),
    *given(
        "schedule_free_adamw",
        schedule_free_adamw,
        {"lr": 0.02, "beta1": 0.8, "beta2": 0.98, "eps": 1e-3, "weight_decay": 0.3},
        decay=0,
    ),
]
