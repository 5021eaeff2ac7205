"""The rules of curvature, and those that find their own rate."""

from collections.abc import Callable

import numpy as np

from oracles.case import Array, Case, Memory, Step, paper


def soap(g: Array, x: Array, s: Memory, t: int) -> Array:
    """Vyas et al. (2024), algorithm 3, in the order of the authors' code; a vector has Adam's."""
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


SHAMPOO = {"lr": 0.3, "momentum": 0.6, "eps": 1e-2, "every": 3}
SOAP = {"lr": 0.02, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.3, "every": 4}
CASES = [
    Case("soap", "NumPy", paper(soap), SOAP),
    Case("shampoo", "NumPy", paper(shampoo(9)), SHAMPOO, single=3e-5),
    Case("shampoo", "NumPy", paper(shampoo(5)), SHAMPOO | {"largest": 5}, single=3e-5),
]
