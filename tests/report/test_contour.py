"""Paths over a contour: what is drawn of them, and that any values have a picture."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.report.contour import _FINE, Contour, Panel, _thinned, _within, contours

LOW, HIGH = torch.tensor([-1.0, -2.0]).double(), torch.tensor([1.0, 2.0]).double()


def bowl(factor: float = 1.0) -> Contour:
    xs, ys = torch.linspace(-1, 1, 40).double(), torch.linspace(-2, 2, 40).double()
    return Contour(xs=xs, ys=ys, values=factor * (xs**2 + 5 * ys[:, None] ** 2), minima=((0, 0),))


def spiral(steps: int, growth: float) -> Tensor:
    t = torch.arange(steps).double()
    return (0.5 * growth**t)[:, None] * torch.stack([t.cos(), t.sin()], 1)


def test_a_path_inside_is_whole() -> None:
    path = spiral(100, 0.97)
    kept, end = _within(path, LOW, HIGH)
    assert end == "end"
    assert kept.equal(path)


def test_a_path_that_leaves_for_good_ends_at_the_edge() -> None:
    path = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.5, 0.0], [2.5, 2.0], [-9.0, 5.0]]).double()
    kept, end = _within(path, LOW, HIGH)
    assert end == "leaves the picture"
    assert kept.allclose(torch.cat([path[:3], torch.tensor([[1.0, 0.5]])]))


def test_a_long_path_is_thinned_to_what_can_be_seen() -> None:
    path = spiral(100_000, 0.9999)
    thin = _thinned(path, LOW, HIGH)
    assert len(thin) < len(path)
    assert thin[-1].equal(path[-1])
    nearest = torch.cdist(path[::500], thin).min(1).values
    assert nearest.max() < 4 / _FINE


def test_very_far_points_are_brought_nearer_in_their_direction() -> None:
    far = torch.tensor([[0.0, 0.0], [1e300, -1e300]], dtype=torch.float64)
    thin = _thinned(far, LOW, HIGH)
    assert thin.abs().max() < 1e7
    assert thin[1, 0] == pytest.approx(-thin[1, 1])


@pytest.mark.parametrize(
    "path",
    [
        spiral(1, 1.0),
        spiral(50, 0.9),
        spiral(3000, 1.01),
        torch.tensor([[0.1, 0.1], [math.nan] * 2]),
    ],
    ids=["a point", "short", "diverges", "not finite"],
)
def test_any_path_has_a_picture(tmp_path: Path, path: Tensor) -> None:
    panel = Panel(contour=bowl(), paths={"$rule$ lr=0.1": path, "other": path})
    contours(tmp_path / "path.png", [panel], title="Path")
    assert (tmp_path / "path.png").stat().st_size > 10_000


@pytest.mark.parametrize("factor", [0.0, 1e300, math.nan])
def test_any_values_have_a_picture(tmp_path: Path, factor: float) -> None:
    panels = [Panel(contour=bowl(factor), paths={"sgd": spiral(20, 0.9)}, title=str(factor))] * 2
    contours(tmp_path / "path.png", panels, title="Path", small=True)
    assert (tmp_path / "path.png").stat().st_size > 5_000
