"""The figures of a sweep's jobs: what is drawn in them, and that odd jobs neither stop nor warn."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import EXTREMES, TEXTS, grid, job
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report import figures
from experiments.report.sweep import curves
from experiments.report.sweep.outcomes import Outcome

RATES = [10 ** (k / 2 - 4) for k in range(10)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures instead of saving them, which takes the longest by far."""
    found: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: found.append(figure))
    return found


def against(jobs: list[Outcome], key: str = "lr", *, higher_is_better: bool = True) -> None:
    curves.against(Path("a.png"), jobs, key, ylabel="val/metric", higher_is_better=higher_is_better)


def learned(jobs: list[Outcome], *, higher_is_better: bool = True) -> None:
    curves.learning_curves(
        Path("a.png"), jobs, ylabel="val/metric", higher_is_better=higher_is_better
    )


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def line(axes: Axes, label: str) -> list[tuple[float, float]]:
    (found,) = (one for one in axes.lines if one.get_label() == label)
    return [(float(x), float(y)) for x, y in found.get_xydata()]  # type: ignore[union-attr]


def y_ticks(axes: Axes) -> dict[str, float]:
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(labels, axes.get_yticks().tolist(), strict=True))


@pytest.mark.parametrize("jobs", [grid(RATES), []])
def test_each_figure_is_a_file(jobs: list[Outcome], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    curves.against(path, jobs, "lr", ylabel="val/metric", higher_is_better=True)
    assert path.read_bytes()[:4] == b"\x89PNG"
    path.unlink()
    curves.learning_curves(path, jobs, ylabel="val/metric", higher_is_better=True)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_against_draws_each_job_and_the_medians(drawn: list[Figure]) -> None:
    against(grid(RATES))
    axes = drawn[0].axes[0]
    assert legend(axes) == ["27 jobs", "median", "3 diverged"]
    (points,) = axes.collections
    assert len(points.get_offsets()) == 27  # type: ignore[arg-type]
    medians = line(axes, "median")
    assert [x for x, _ in medians] == pytest.approx([k / 9 for k in range(9)])
    assert max(medians, key=lambda point: point[1])[0] == pytest.approx(6 / 9)  # a rate of 0.1
    assert "log" in axes.get_xlabel()


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_lost_stand_beyond_the_worse_end(drawn: list[Figure], higher_is_better: bool) -> None:
    jobs = [job(0.5, lr=1), job(0.7, lr=2), job(0.9, "diverged", lr=3), job(9, "failed", lr=4)]
    against([*jobs, job(math.nan, lr=5)], higher_is_better=higher_is_better)
    axes = drawn[0].axes[0]
    assert legend(axes) == ["2 jobs", "median", "1 diverged", "1 failed", "1 no value"]
    ticks = y_ticks(axes)
    for name in ("diverged", "failed", "no value"):
        ((_, y),) = line(axes, f"1 {name}")
        assert y == ticks[name]
        assert y < 0 if higher_is_better else y > 1
    assert axes.get_ylim()[0] < min(ticks.values()) < max(ticks.values()) < axes.get_ylim()[1]


def test_texts_have_a_tick_each_and_dashes_for_medians(drawn: list[Figure]) -> None:
    names = ("sgd", "adam", "lion")
    against([job(k / 9, optimizer=name) for k in range(9) for name in names], "optimizer")
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["adam", "lion", "sgd"]
    dashes = [one.get_xydata() for one in axes.lines if len(one.get_xydata()) == 2]  # type: ignore[arg-type]
    assert len(dashes) == 3


def test_jobs_without_the_setting_stand_apart_from_numbers(drawn: list[Figure]) -> None:
    against([job(0.5, lr=0.1), job(0.6, lr=1), job(0.7)])
    axes = drawn[0].axes[0]
    assert axes.get_xticklabels()[0].get_text() == "not set"
    assert len(line(axes, "median")) == 2


def test_one_value_out_of_all_proportion_leaves_the_others_apart(drawn: list[Figure]) -> None:
    values = [0.1, 0.12, 0.14, 0.16, 0.18, 1e40]
    against([job(value, lr=k) for k, value in enumerate(values)], higher_is_better=False)
    axes = drawn[0].axes[0]
    assert "1 off the scale" in legend(axes)
    medians = [y for _, y in line(axes, "median")]
    assert medians[4] - medians[0] > 0.05


def test_many_random_numbers_share_their_medians(drawn: list[Figure]) -> None:
    against([job(k % 7 / 7, lr=k + 0.5) for k in range(1000)])
    medians = line(drawn[0].axes[0], "median")
    assert len(medians) == 21
    assert all(0.3 < y < 0.7 for _, y in medians)


def test_curves_show_the_best_settings_with_their_medians(drawn: list[Figure]) -> None:
    learned(grid(RATES))
    left, right = drawn[0].axes
    labels = [str(one.get_label()) for one in left.lines]
    assert len(labels) == 7
    assert labels[0] == "0.91 lr=0.1"
    assert len(left.collections) == 7
    assert [x for x, _ in line(left, labels[0])] == [1, 2, 3, 4]
    assert [x for x, _ in line(right, labels[0])] == [2, 3, 4]


def test_a_step_has_the_median_of_the_seeds_that_have_a_value_there(drawn: list[Figure]) -> None:
    ends = (4, 4, 2)
    steps = [[(step, 10.0 * step + seed) for step in range(1, 1 + ends[seed])] for seed in range(3)]
    learned([replace(job(1.0, lr=1), curve=curve) for curve in steps])
    axes = drawn[0].axes[0]
    low, high = 11.0, 40.5  # of the medians 11, 21, 30.5 and 40.5
    expected = [(value - low) / (high - low) for value in (11, 21, 30.5, 40.5)]
    assert [y for _, y in line(axes, "1 lr=1")] == pytest.approx(expected)


def test_folds_of_other_lengths_have_their_steps_in_common(drawn: list[Figure]) -> None:
    steps = [[(epoch * length, 1.0 * epoch) for epoch in (1, 2, 3)] for length in (39, 40, 40)]
    learned([replace(job(1.0, lr=1), curve=curve) for curve in steps])
    assert [x for x, _ in line(drawn[0].axes[0], "1 lr=1")] == [40, 80, 120]
    assert not drawn[0].axes[0].collections


def test_one_seed_has_no_band(drawn: list[Figure]) -> None:
    learned(grid(RATES, seeds=1))
    assert not drawn[0].axes[0].collections


def test_a_seed_that_diverges_is_the_worst_of_them(drawn: list[Figure]) -> None:
    ends = (0.2, 0.4, math.nan)
    jobs = [replace(job(1.0, lr=1), curve=[(1, 1.0), (2, 0.5), (3, end)]) for end in ends]
    learned(jobs, higher_is_better=False)
    assert line(drawn[0].axes[0], "1 lr=1")[-1][1] == 0  # 0.4, and not the 0.3 of the others


def test_what_never_had_a_value_has_no_line_and_no_ticks(drawn: list[Figure]) -> None:
    learned([job(math.nan, "diverged", lr=lr) for lr in (1, 2)])
    against([job(math.nan, "diverged", lr=lr) for lr in (1, 2)])
    left, _, lost = (axes for figure in drawn for axes in figure.axes)
    assert not left.lines
    assert not y_ticks(left)
    assert list(y_ticks(lost)) == ["diverged"]


def odd() -> list[Outcome]:
    status = ("finished", "diverged", "pruned", "failed", "$_{")
    return [
        job(value, status[i % 5], a=TEXTS[i % len(TEXTS)], b=TEXTS[-i % len(TEXTS)])
        for i, value in enumerate(EXTREMES * 5)
    ]


@pytest.mark.parametrize(
    "jobs",
    [
        [job(math.nan, "diverged", a="1")],
        [job(0.5)],
        odd(),
        [job(value, a=k) for k, value in enumerate(EXTREMES)],
        [job(k / 1000, a=k * 1.5 + 1) for k in range(1000)],
        [job(k / 60, a=f"some long text {k}") for k in range(60)],
    ],
    ids=["lost", "no settings", "odd", "extremes", "many", "texts"],
)
def test_odd_jobs_are_drawn_without_a_warning(
    jobs: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_DPI", 30)
    one, other = tmp_path / "1.png", tmp_path / "2.png"
    curves.learning_curves(one, jobs, ylabel="$_{" * 40, higher_is_better=False)
    curves.against(other, jobs, "a", ylabel="$_{" * 40, higher_is_better=True)
    assert min(one.stat().st_size, other.stat().st_size) > 1000


outcomes = st.builds(
    Outcome,
    settings=st.dictionaries(st.sampled_from("ab"), st.sampled_from(TEXTS) | st.text()),
    repeat=st.dictionaries(st.sampled_from(["seed", "fold"]), st.sampled_from("012")),
    status=st.sampled_from(["finished", "finished", "diverged", "failed", "pruned"]),
    value=st.floats() | st.sampled_from(EXTREMES),
    curve=st.lists(st.tuples(st.integers(0, 10**9), st.floats()), max_size=5),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=st.lists(outcomes, max_size=12), higher_is_better=st.booleans())
def test_any_jobs_can_be_drawn(
    drawn: list[Figure], jobs: list[Outcome], higher_is_better: bool
) -> None:
    against(jobs, "a", higher_is_better=higher_is_better)
    learned(jobs, higher_is_better=higher_is_better)
    for figure in drawn:
        for axes in figure.axes:
            low, high = axes.get_ylim()
            places = [y for one in axes.lines for _, y in one.get_xydata() if not math.isnan(y)]  # type: ignore[union-attr]
            assert all(low <= y <= high for y in places)
    drawn.clear()
