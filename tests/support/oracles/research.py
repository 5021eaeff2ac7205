"""The rules of curvature, and those that find their own rate."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from descents import Gradient
from torch import Tensor

from oracles.case import NOISE, Array, Case, Memory, Step, hessian, optax_path, paper, torch_path


def soap(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Vyas et al. (2024), in the order of the authors' code; a vector has Adam's."""
    sides = range(2) if g.ndim > 1 else []
    for side in sides:
        rows = g if side == 0 else g.T
        s["factor", side] = 0.9 * s["factor", side] + 0.1 * rows @ rows.T
    if t == 1:
        s.update({("basis", side): _eigenvectors(s["factor", side]) for side in sides})
        return np.zeros_like(x)
    into = _sides(*(s["basis", side] for side in sides))
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["v"] = 0.9 * s["v"] + 0.1 * into(g) ** 2
    adam = into(s["m"]) / (np.sqrt(s["v"]) + 1e-3)
    adam = _sides(*(s["basis", side].T for side in sides))(adam)
    step = 0.02 * np.sqrt(1 - 0.9 ** (t - 1)) / (1 - 0.8 ** (t - 1)) * adam
    for side in sides if (t - 1) % 4 == 0 else []:
        product = s["factor", side] @ s["basis", side]
        order = np.argsort(-np.sum(s["basis", side] * product, 0))
        s["v"] = np.take(s["v"], order, side)
        s["basis", side] = np.linalg.qr(product[:, order])[0]
    decayed: Array = step + 0.02 * 0.3 * (x - step)
    return decayed


def _sides(left: Array | None = None, right: Array | None = None) -> Callable[[Array], Array]:
    """Return what turns a matrix into two bases, and a vector not at all."""
    return lambda x: x if left is None or right is None else left.T @ x @ right


def _eigenvectors(factor: Array) -> Array:
    """Return eigenvectors by falling eigenvalue; those of none are near the axes.

    The space of none is spanned by the projections of the axes; of these, eigenvectors of a
    matrix that tells the axes apart.
    """
    values, vectors = np.linalg.eigh(factor)
    some = vectors[:, values > 1e-12 * values[-1]][:, ::-1]
    count = len(factor)
    space = np.linalg.svd(np.eye(count) - some @ some.T)[0][:, : count - some.shape[1]]
    apart = space.T @ np.diag(np.arange(count)) @ space
    return np.concatenate([some, space @ np.linalg.eigh(apart)[1]], 1)


def shampoo(largest: int) -> Step:
    """Gupta et al. (2018), algorithms 1 and 2, with a diagonal where a side is longer."""

    def step(g: Array, x: Array, s: Memory, t: int) -> Array:
        s["m"] = 0.6 * s["m"] + 0.4 * g
        turned = s["m"]
        for side, size in enumerate(g.shape):
            rows = np.moveaxis(g, side, 0).reshape(size, -1)
            gram = rows @ rows.T if size <= largest else np.diag(np.sum(rows**2, 1))
            s[side] = (s[side] if t > 1 else 1e-2 * np.eye(size)) + gram
            if t < 3 or t % 3 == 0:
                values, vectors = np.linalg.eigh(s[side])
                s["root", side] = vectors @ np.diag(values ** (-0.5 / g.ndim)) @ vectors.T
            turned = np.moveaxis(np.tensordot(s["root", side], turned, (1, side)), 0, side)
        return 0.3 * turned

    return step


def dog(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Ivgi et al. (2023), with the first distance of the authors' code."""
    if t == 1:
        s["start"], s["r"] = x.copy(), 1e-3 * (1 + np.linalg.norm(x))
    s["r"] = max(s["r"], np.linalg.norm(x - s["start"]))
    s["squares"] += g @ g
    return 0.7 * s["r"] / np.sqrt(s["squares"] + 1e-2) * g


def dowg(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Khaled et al. (2023), with the ε of the authors' code."""
    if t == 1:
        s["start"], s["r"] = x.copy(), 0.1
    s["r"] = max(s["r"], np.linalg.norm(x - s["start"]))
    s["v"] += s["r"] ** 2 * (g @ g)
    return 0.7 * s["r"] ** 2 / (np.sqrt(s["v"]) + 1e-2) * g


def dadapt_adam(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Defazio & Mishchenko (2023), the variant of Adam, with the decay of AdamW."""
    rate, root = (s["d"] if t > 1 else 1e-2) * 0.1, np.sqrt(0.95)
    s["r"] = root * s["r"] + (1 - root) * rate * np.sum(g * s["s"] / (np.sqrt(s["v"]) + 1e-3))
    s["m"] = 0.8 * s["m"] + 0.2 * rate * g
    s["v"] = 0.95 * s["v"] + 0.05 * g**2
    s["s"] = root * s["s"] + (1 - root) * rate * g
    s["d"] = max(rate / 0.1, s["r"] / ((1 - root) * np.abs(s["s"]).sum()))
    step: Array = s["m"] / (np.sqrt(s["v"]) + 1e-3) + rate * 0.3 * x
    return step


def dadaptation(parts: list[Tensor]) -> torch.optim.Optimizer:
    """Make the authors' D-adapted Adam, which says on standard output that decay is decoupled."""
    package = pytest.importorskip("dadaptation", reason="the authors' package is not installed")
    values = {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3, "decouple": True, "d0": 1e-2}
    optimizer: torch.optim.Optimizer = package.DAdaptAdam(parts, 0.1, **values)
    return optimizer


def polyak(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Loizou et al. (2021), SPS_max, with no step where the loss is below the least."""
    return min(max(s["loss"](x) + 10.0, 0) / (0.7 * g @ g + 1e-3), 0.2) * g


def momo(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Schaipp et al. (2024), with decay."""
    share = 0.2 if t > 1 else 1
    for name, value in {"m": g, "f": s["loss"](x), "gamma": g @ x}.items():
        s[name] = (1 - share) * s[name] + share * value
    shrinking, m = 1 + 0.4 * 0.3, s["m"]
    gap = shrinking * (s["f"] + 40 - s["gamma"]) + m @ x
    after: Array = (x - min(0.4, max(gap, 0) / (m @ m)) * m) / shrinking
    return x - after


def armijo(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Vaswani et al. (2019), with the rate of the last step as a start."""
    s["rate"] = min(1.5 * s["rate"], 1) if t > 1 else 1
    while s["loss"](x - s["rate"] * g) > s["loss"](x) - 0.3 * s["rate"] * (g @ g):
        s["rate"] *= 0.8
    step: Array = s["rate"] * g
    return step


def backtracking(optax: Any) -> Any:
    """Make optax's line search along the gradient."""
    search = optax.scale_by_backtracking_linesearch(100, slope_rtol=0.3)
    return optax.chain(optax.sgd(1.0), search)


def adahessian(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Yao et al. (2021), without a spatial average, and the decay of AdamW."""
    z = np.sign(NOISE[t].numpy())
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["v"] = 0.95 * s["v"] + 0.05 * (z * (s["hessian"] @ z)) ** 2
    m, v = s["m"] / (1 - 0.8**t), s["v"] / (1 - 0.95**t)
    step: Array = 0.05 * (m / (v**0.35 + 0.2) + 0.3 * x)
    return step


def sophia_h(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Liu et al. (2023), algorithm 3."""
    s["m"] = 0.8 * s["m"] + 0.2 * g
    if t % 4 == 1:
        z = np.sign(NOISE[t].numpy())
        s["h"] = 0.7 * s["h"] + 0.3 * z * (s["hessian"] @ z)
    step: Array = 0.05 * np.clip(s["m"] / np.maximum(1.5 * s["h"], 1e-3), -1, 1)
    return step


def estimated(gradient: Gradient, start: Tensor) -> Tensor:
    """Follow pytorch_optimizer's AdaHessian, given estimates of the same signs."""
    package = pytest.importorskip("pytorch_optimizer", reason="the library is not installed")
    curvatures = hessian(gradient, 1)

    class AdaHessian(package.AdaHessian):  # type: ignore[misc]
        def step(self) -> None:
            signs = NOISE[self.param_groups[0].get("step", 0) + 1].sign()
            estimate = signs * (curvatures @ signs)
            super().step(hessian=[estimate[:24].view(6, 4), estimate[24:]])

    more = {"eps": 0.2, "hessian_power": 0.7, "weight_decay": 0.3, "weight_decouple": True}
    return torch_path(lambda parts: AdaHessian(parts, 0.05, (0.8, 0.95), **more))(gradient, start)


def psgd_kron(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Li (2018), for gradients alone; a vector has a diagonal factor."""
    s["m"] = 0.8 * s["m"] + 0.2 * g
    m, noise = s["m"] / (1 - 0.8**t), NOISE[t].numpy()
    if g.ndim == 1:
        q = s["q"] if t > 1 else np.ones(5)
        a, b = (q * m) ** 2, (noise[24:] / q) ** 2
        s["q"] = q = q - 0.1 * (a - b) / np.max(a + b) * q
        white = q * q * m
    else:
        p, q = s["pq"] if t > 1 else (np.eye(6), np.eye(4))
        a = p @ m @ q.T
        b = np.linalg.inv(p).T @ noise[:24].reshape(6, 4) @ np.linalg.inv(q)
        left = 0.1 * np.triu(a @ a.T - b @ b.T) / _bound(a @ a.T + b @ b.T)
        right = 0.1 * np.triu(a.T @ a - b.T @ b) / _bound(a.T @ a + b.T @ b)
        s["pq"] = p, q = p - left @ p, q - right @ q
        white = p.T @ p @ m @ q.T @ q
    white = white * min(1, 1.1 / (np.sqrt(np.mean(white**2)) + 1e-6))
    step: Array = 0.05 * (white + 0.3 * x)
    return step


def whitened(gradient: Gradient, start: Tensor) -> Tensor:
    """Follow pytorch_optimizer's Kron, renewed at each step from the same noise."""
    package = pytest.importorskip("pytorch_optimizer", reason="the library is not installed")

    class Kron(package.Kron):  # type: ignore[misc]
        def step(self) -> None:
            noise = NOISE[self.param_groups[0].get("step", 0) + 1]
            drawn = [noise[:24].view(6, 4), noise[24:]]
            with patch.object(torch, "randn_like", side_effect=drawn):
                super().step()

    more = {"precondition_dtype": torch.float64, "balance_prob": 0.0}
    return torch_path(
        lambda parts: Kron(parts, 0.05, 0.8, pre_conditioner_update_probability=1.0, **more)
    )(gradient, start)


def _bound(gram: Array) -> float:
    """Return the length of what a symmetric matrix makes of the image of its longest row."""
    image = gram @ gram[np.argmax(np.sum(gram**2, 1))]
    return float(np.linalg.norm(gram @ image) / np.linalg.norm(image))


SHAMPOO = {"lr": 0.3, "momentum": 0.6, "eps": 1e-2, "every": 3}
SOAP = {"lr": 0.02, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.3, "every": 4}
DOG = {"lr": 0.7, "r0": 1e-3, "eps": 1e-2}
DOWG = {"lr": 0.7, "r0": 0.1, "eps": 1e-2}
DADAPT = {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.3, "d0": 1e-2}
POLYAK = {"lr": 0.2, "c": 0.7, "least": -10.0, "eps": 1e-3}
MOMO = {"lr": 0.4, "beta": 0.8, "least": -40.0}
ARMIJO = {"lr": 1.0, "c": 0.3}
ADAHESSIAN = {
    "lr": 0.05, "beta1": 0.8, "beta2": 0.95, "eps": 0.2, "weight_decay": 0.3, "power": 0.7,
}  # fmt: skip
SOPHIA = {"lr": 0.05, "beta1": 0.8, "beta2": 0.7, "gamma": 1.5, "eps": 1e-3, "every": 4}
KRON = {"lr": 0.05, "momentum": 0.8}
CASES = [
    Case("soap", "NumPy", paper(soap), SOAP),
    # No library has the paper's Shampoo: others average, or borrow another rule's step length.
    Case("shampoo", "NumPy", paper(shampoo(9)), SHAMPOO, single=3e-5),
    Case("shampoo", "NumPy", paper(shampoo(5)), SHAMPOO | {"largest": 5}, single=3e-5),
    Case("dog", "NumPy", paper(dog, whole=True), DOG),
    Case("dog", "optax", optax_path(lambda o: o.contrib.dog(0.7, ("heuristic", 1e-3), 1e-2)), DOG),
    Case("dowg", "NumPy", paper(dowg, whole=True), DOWG),
    Case("dowg", "optax", optax_path(lambda o: o.contrib.dowg(0.7, 0.01, 1e-2)), DOWG),
    Case("dadapt_adam", "NumPy", paper(dadapt_adam, whole=True), DADAPT),
    Case("dadapt_adam", "the authors' package", torch_path(dadaptation), DADAPT),
    Case(
        "dadapt_adam",
        "optax",
        optax_path(lambda o: o.contrib.dadapt_adamw(0.1, (0.8, 0.95), 1e-3, 1e-2, 0.3)),
        DADAPT | {"bias_correction": True},
    ),
    Case("polyak", "NumPy", paper(polyak, whole=True), POLYAK),
    Case(
        "polyak",
        "optax",
        optax_path(lambda o: o.polyak_sgd(0.2, f_min=-10.0, eps=1e-3, variant="sps+")),
        POLYAK | {"c": 1.0},
    ),
    Case("momo", "NumPy", paper(momo, whole=True), MOMO | {"weight_decay": 0.3}),
    # Without decay: optax divides by 1 + lr λ before the step, paper and authors after it.
    Case("momo", "optax", optax_path(lambda o: o.contrib.momo(0.4, 0.8, -40.0)), MOMO),
    Case("armijo", "NumPy", paper(armijo, whole=True), ARMIJO),
    Case("armijo", "optax", optax_path(backtracking), ARMIJO),
    Case("adahessian", "NumPy", paper(adahessian, whole=True), ADAHESSIAN),
    Case("adahessian", "pytorch_optimizer", estimated, ADAHESSIAN),
    Case("sophia_h", "NumPy", paper(sophia_h, whole=True), SOPHIA),
    Case("psgd_kron", "NumPy", paper(psgd_kron), KRON | {"weight_decay": 0.3}),
    # It divides by the factors in float32.
    Case("psgd_kron", "pytorch_optimizer", whitened, KRON, tolerance=1e-6),
]
