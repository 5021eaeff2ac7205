"""The heat map: the medians in its cells, their order, and the marks of those without one."""

import math
from pathlib import Path

import numpy as np
import pytest
from jobs import EXTREMES, TEXTS, job
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report import figures
from experiments.report.sweep.heatmap import heat_map
from experiments.report.sweep.outcomes import Outcome


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures instead of saving them."""
    found: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


def draw(jobs: list[Outcome], path: Path = Path("a.png"), *, higher_is_better: bool = True) -> None:
    heat_map(path, jobs, ("a", "b"), label="val/metric", higher_is_better=higher_is_better)


def texts(axes: Axes) -> dict[tuple[int, int], str]:
    return {
        (int(text.get_position()[0]), int(text.get_position()[1])): text.get_text()
        for text in axes.texts
    }


def test_cells_hold_medians_in_the_order_of_numbers(drawn: list[Figure]) -> None:
    jobs = [job(0.1 * a + k, a=a, b=b) for a in (10, 9, 100) for b in "yx" for k in (0, 2, 4)]
    draw(jobs)
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["9", "10", "100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    expected = {(x, y): value for x, value in enumerate(("2.9", "3", "12")) for y in (0, 1)}
    assert texts(axes) == expected
    cells = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(cells, [[0, 0.1 / 9.1, 1]] * 2)


def test_lost_and_missing_cells_are_told_apart(drawn: list[Figure]) -> None:
    jobs = [job(0.5, a=1, b=1), job(0.7, a=1, b=1), job(0.1, "diverged", a=1, b=1)]
    draw([*jobs, job(0.9, "pruned", a=2, b=2), job(math.nan, "diverged", a=3, b=1)])
    axes = drawn[0].axes[0]
    assert texts(axes) == {(0, 0): "0.6\n2 of 3", (1, 1): "pruned", (2, 0): "diverged"}
    hatched = {(round(one.get_x() + 0.5), round(one.get_y() + 0.5)) for one in axes.patches}  # type: ignore[attr-defined]
    assert hatched == {(1, 1), (2, 0)}
    assert np.isfinite(np.asarray(axes.images[0].get_array())).sum() == 1


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_best_is_dark(drawn: list[Figure], higher_is_better: bool) -> None:
    draw([job(0.1, a=1, b=1), job(0.9, a=2, b=1)], higher_is_better=higher_is_better)
    image = drawn[0].axes[0].images[0]
    low, high = (image.cmap(place)[:3] for place in (0.0, 1.0))
    assert (sum(high) < sum(low)) == higher_is_better


def test_many_numbers_share_cells_and_jobs_without_the_setting_have_their_own(
    drawn: list[Figure],
) -> None:
    jobs = [job(k % 10, a=k + 0.5, b=k % 3) for k in range(1000)]
    draw([*jobs, *(job(5, b=b) for b in range(3))])
    axes = drawn[0].axes[0]
    cells = np.asarray(axes.images[0].get_array())
    assert cells.shape == (3, 22)
    assert np.isfinite(cells).all(0).tolist() == [True, False, *[True] * 20]
    assert axes.get_xticklabels()[0].get_text() == "not set"
    assert not axes.texts


@pytest.mark.parametrize(
    "jobs",
    [
        *([], [job(0.5)], [job(math.nan, "failed", a=1, b=1)]),
        [job(value, a=k, b=TEXTS[k]) for k, value in enumerate(EXTREMES)],
        [job(k, a=f"some long name {k}", b=k) for k in range(60)],
        [job(k, a=text, b=text) for k, text in enumerate(TEXTS)],
    ],
)
def test_odd_jobs_are_drawn_without_a_warning(
    jobs: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_DPI", 30)
    draw(jobs, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
