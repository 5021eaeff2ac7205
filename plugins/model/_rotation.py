"""Rotations that are drawn uniformly."""

import numpy as np
import torch
from torch import Tensor


def drawn(dimension: int, draw: np.random.RandomState) -> Tensor:
    """Draw a rotation [D, D], D ≥ 2, by the subgroup algorithm (Diaconis & Shahshahani, 1987).

    To a rotation of 2, 3, ... coordinates one is added by a mirror that takes its axis anywhere on
    the sphere; the sign at the end makes up for the mirrors in the determinant.
    """
    angle = 2 * np.pi * draw.uniform()
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    for size in range(3, dimension + 1):
        place = draw.normal(size=size)
        mirror = -place / np.linalg.norm(place)
        mirror[0] += 1
        mirror /= np.linalg.norm(mirror)
        grown = np.eye(size)
        grown[1:, 1:] = rotation
        rotation = grown - 2 * np.outer(mirror, mirror @ grown)
    return torch.from_numpy(-rotation)
