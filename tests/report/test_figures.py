"""The figures: what their pixels show, and that odd data neither stops nor warns."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix as reference

import experiments
from experiments.report import figures

BLUE, RED = (0, 114, 178), (213, 94, 0)
DIGITS = [str(digit) for digit in range(10)]
Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "figure.png"


def pixels(path: Path) -> Pixels:
    """Return a figure's pixels [H, W, 3], which are not all alike, nor more than 1200 across."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        found = np.asarray(image.convert("RGB"))
    assert found.shape[1] <= 1200
    assert found.min() < 100
    assert found.max() == 255
    return found


def places(found: Pixels, color: tuple[int, int, int]) -> npt.NDArray[np.intp]:
    """Return the (row, column) [N, 2] of the pixels of exactly this colour."""
    return np.argwhere((found == color).all(-1))


def noisy(count: int) -> list[tuple[int, float]]:
    return [(step, math.exp(-step / count) + 0.1 * math.sin(7.0 * step)) for step in range(count)]


def draw_curves(path: Path) -> None:
    series = {"train/loss": noisy(3000), "val/loss": [(step, 0.5) for step in (0, 1500, 3000)]}
    figures.step_chart(path, series, title="Loss", ylabel="loss")


def draw_confusion(path: Path) -> None:
    figures.confusion(path, torch.arange(100).view(10, 10), classes=DIGITS)


def draw_predictions(path: Path) -> None:
    images, targets = torch.arange(12 * 64.0).view(12, 1, 8, 8), torch.arange(12) % 10
    preds = targets.clone().index_fill(0, torch.tensor([3]), 0)
    figures.samples(path, images, targets=targets, preds=preds, classes=DIGITS)


def draw_weights(path: Path) -> None:
    weights = torch.linspace(-1, 1, 640).view(64, 10)
    figures.weight_images(path, weights, shape=(1, 8, 8), classes=DIGITS)


def draw_regression(path: Path) -> None:
    targets = torch.linspace(0, 5, 50)
    figures.regression(path, targets.sin()[:, None], targets=targets)


def draw_bars(path: Path) -> None:
    rows = [(f"lr={k}", 1 - k / 50) for k in range(40)]
    figures.leaderboard_bars(path, rows, ylabel="val/accuracy")


ALL = [draw_curves, draw_confusion, draw_predictions, draw_weights, draw_regression, draw_bars]


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.whole
def test_a_figure_is_the_same_each_time_and_leaves_no_settings(
    draw: Callable[[Path], None], path: Path
) -> None:
    settings = dict(mpl.rcParams)
    draw(path)
    first = path.read_bytes()
    pixels(path)
    draw(path)
    assert path.read_bytes() == first
    assert dict(mpl.rcParams) == settings


@pytest.mark.process
def test_a_fresh_machine_sees_no_warning_and_no_pyplot(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from experiments.report import figures
assert "matplotlib" not in sys.modules
figures.leaderboard_bars(Path("bars.png"), [("a", 1.0)], ylabel="loss")
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(experiments.__file__).parents[1]),
        "MPLCONFIGDIR": str(tmp_path / "no" / "font" / "cache"),
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    pixels(tmp_path / "bars.png")


def test_curves_show_every_series(path: Path) -> None:
    draw_curves(path)
    found = pixels(path)
    assert found.shape == (720, 1200, 3)
    assert len(places(found, BLUE)) > 500
    assert len(places(found, RED)) > 500


def test_a_long_curve_is_smoothed_and_a_short_one_is_not(path: Path) -> None:
    def height(count: int) -> int:
        points = [(step, float(step % 2)) for step in range(count)]
        figures.step_chart(path, {"train/loss": points}, title="Noise", ylabel="loss")
        rows = places(pixels(path), BLUE)[:, 0]
        rows = rows[rows > 100]  # below the legend
        return int(rows.max() - rows.min())

    assert height(200) > 400
    assert height(2000) < 40


def test_values_not_finite_are_crosses_over_a_gap(path: Path) -> None:
    ending = {"loss": [(step, 1.0 / step if step < 50 else math.nan) for step in range(1, 101)]}
    figures.step_chart(path, ending, title="Loss", ylabel="loss")
    late = places(pixels(path)[:, 700:], BLUE)
    assert len(late) > 100
    assert late[:, 0].max() < 200


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        *([], [0.5], [0.0, 0.0], [-1.0, 1.0], [math.nan], [math.inf, -math.inf]),
        *([1e-300, 1e300], [1e-300], [-1.7e308, 1.7e308], [1e-300, math.nan, 1e300] * 100),
        *([1.0, math.nan, 0.5, math.inf] * 100, [math.nan] * 300),
    ],
)
@pytest.mark.whole
def test_curves_take_any_values(path: Path, values: list[float], log_y: bool) -> None:
    series = {"a": list(enumerate(values)), "_b": []}
    figures.step_chart(path, series, title="Any", ylabel="loss", log_y=log_y)
    pixels(path)


def test_curves_take_many_series_and_none(path: Path) -> None:
    figures.step_chart(path, {}, title="None", ylabel="loss")
    pixels(path)
    many = {f"optimizer=adam lr={k} and so on and on": noisy(100) for k in range(25)}
    figures.step_chart(path, many, title="Many $_{" * 20, ylabel="loss")
    pixels(path)


def test_confusion_matrix_equals_that_of_sklearn() -> None:
    generator = torch.Generator().manual_seed(0)
    targets, preds = torch.randint(0, 7, (2, 500), generator=generator)
    matrix = figures.confusion_matrix(preds, targets, 8)
    assert matrix.tolist() == reference(targets, preds, labels=range(8)).tolist()
    assert matrix.dtype == torch.int64


def test_confusion_has_targets_down_and_predictions_across(path: Path) -> None:
    matrix = torch.tensor([[0, 0, 9], [0, 0, 0], [0, 0, 0]])
    figures.confusion(path, matrix, classes=["a", "b", "c"])
    found = pixels(path)
    dark = places(found, (8, 48, 107))  # the dark end of the colour map
    dark = dark[dark[:, 1] < 0.83 * found.shape[1]]  # without the colour bar
    assert dark[:, 0].max() < found.shape[0] / 2
    assert dark[:, 1].min() > found.shape[1] / 2


@pytest.mark.parametrize("count", [1, 2, 10, 20, 21, 100])
@pytest.mark.parametrize("name", ["{}", "a rather long name of a class: {}"])
@pytest.mark.whole
def test_confusion_takes_any_number_of_classes(path: Path, count: int, name: str) -> None:
    matrix = torch.randint(0, 9, (count, count), generator=torch.Generator().manual_seed(0))
    figures.confusion(path, matrix, classes=[name.format(k) for k in range(count)])
    assert pixels(path).shape == (1050, 1200, 3)


def test_confusion_takes_an_empty_matrix(path: Path) -> None:
    figures.confusion(path, torch.zeros(3, 3, dtype=torch.long), classes=["a", "b", "c"])
    pixels(path)


def test_images_are_drawn_channels_last(path: Path) -> None:
    image = torch.zeros(1, 3, 4, 6, dtype=torch.uint8)
    image[0, 0, :, :3] = 255
    image[0, 2, :2, 3:] = 255
    image[0, 1, 2:, 3:] = 255
    figures.samples(path, image, targets=torch.tensor([0]), preds=None, classes=["flag"])
    found = pixels(path)
    red, green, blue = (places(found, color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))
    assert len(red) > len(green) > 1000
    assert red[:, 1].max() < min(blue[:, 1].min(), green[:, 1].min())
    assert blue[:, 0].max() < green[:, 0].min()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_images_are_drawn_in_grey_over_their_own_range(path: Path, channels: int) -> None:
    images = torch.full((2, channels, 5, 5), -3.0)
    images[1] = 16.0
    figures.samples(path, images, targets=torch.tensor([0, 1]), preds=None, classes=["a", "b"])
    found = pixels(path)
    assert (found == found[:, :, :1]).all()
    middle = found[found.shape[0] * 2 // 3]
    assert middle[middle.shape[0] // 4, 0] == 0
    assert middle[middle.shape[0] * 3 // 4, 0] == 255


def test_bytes_are_drawn_over_the_range_of_bytes(path: Path) -> None:
    images = torch.full((1, 1, 5, 5), 100, dtype=torch.uint8)
    figures.samples(path, images, targets=torch.tensor([0]), preds=None, classes=["grey"])
    assert len(places(pixels(path), (100, 100, 100))) > 10_000


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 9, 16, 17, 25, 31, 32])
@pytest.mark.whole
def test_predictions_take_1_to_32_images(path: Path, count: int) -> None:
    images, targets = torch.rand(count, 1, 4, 4), torch.arange(count) % 10
    figures.samples(path, images, targets=targets, preds=targets, classes=DIGITS)
    assert not len(places(pixels(path), RED))


def test_wrong_predictions_have_a_colour_and_a_symbol(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = []
    monkeypatch.setattr(
        "matplotlib.axes.Axes.set_title", lambda _, text, **__: captions.append(text)
    )
    names, targets, preds = ["cat", "dog"], torch.tensor([0, 1]), torch.tensor([0, 0])
    figures.samples(path, torch.rand(2, 3, 4, 4), targets=targets, preds=preds, classes=names)
    assert captions == ["cat\n✓ cat", "dog\n✗ cat"]
    framed = places(pixels(path), RED)
    assert framed[:, 1].min() > pixels(path).shape[1] / 2


@pytest.mark.parametrize("name", ["$x^{", "日本", "_hidden", "x" * 100, ""])
def test_class_names_are_plain_text(path: Path, name: str) -> None:
    images, targets = torch.full((2, 1, 4, 4), math.nan), torch.tensor([0, 1])
    figures.samples(path, images, targets=targets, preds=targets, classes=[name, name])
    figures.confusion(path, torch.eye(2), classes=[name, name])
    figures.leaderboard_bars(path, [(name, 1.0)], ylabel=name)
    pixels(path)


def test_weights_are_the_same_by_column_and_by_class(tmp_path: Path) -> None:
    columns = torch.randn(12, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for name, weights in {"columns": columns, "classes": columns.T.reshape(5, 1, 3, 4)}.items():
        figures.weight_images(tmp_path / name, weights, shape=(1, 3, 4), classes=DIGITS[:5])
    assert (tmp_path / "columns").read_bytes() == (tmp_path / "classes").read_bytes()


def test_weights_have_colours_symmetric_around_0(path: Path) -> None:
    weights = torch.stack([torch.full((3, 4, 4), value) for value in (-1.0, 0.0, 0.5, 1.0)])
    figures.weight_images(path, weights, shape=(3, 4, 4), classes=["-1", "0", "0.5", "1"])
    found = pixels(path)
    row = found[found.shape[0] // 3].astype(int)
    low, zero, half, high = (row[len(row) * k // 8] for k in (1, 3, 5, 7))
    assert low[2] > 2 * low[0]
    assert high[0] > 2 * high[2]
    assert zero.min() > 240
    assert high[1] < half[1] < zero[1]


def test_weights_are_averaged_over_channels(tmp_path: Path) -> None:
    colors = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    figures.weight_images(tmp_path / "a", colors, shape=(3, 4, 4), classes=["a", "b"])
    figures.weight_images(tmp_path / "b", colors.mean(1), shape=(4, 4), classes=["a", "b"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_weights_may_be_of_no_size_at_all(path: Path, value: float) -> None:
    weights = torch.full((2, 2, 2), value)
    figures.weight_images(path, weights, shape=(2, 2), classes=["a", "b"])
    pixels(path)


@pytest.mark.whole
@pytest.mark.whole
def test_weights_of_100_classes_fit(path: Path) -> None:
    weights = torch.randn(100, 2, 2, generator=torch.Generator().manual_seed(0))
    figures.weight_images(path, weights, shape=(2, 2), classes=["some long name"] * 100)
    pixels(path)


def test_perfect_predictions_lie_on_the_line(path: Path) -> None:
    values = torch.linspace(-5, 900, 30)
    figures.regression(path, values, targets=values)
    found = pixels(path)
    line = places(found, RED)
    line = line[line[:, 0] > 120]  # below the legend
    assert found.shape == (1050, 1050, 3)
    np.testing.assert_allclose(np.diff(line[[0, -1]], axis=0).sum(), 0, atol=6)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [math.nan, 1.0, 3.0], [math.inf]])
def test_regression_takes_any_values(path: Path, values: list[float]) -> None:
    targets = torch.tensor(values)
    preds = targets.clone().requires_grad_()[:, None]
    figures.regression(path, preds, targets=targets)
    pixels(path)


def test_bars_are_as_long_as_their_values_and_the_best_stands_out(path: Path) -> None:
    figures.leaderboard_bars(path, [("a", 1.0), ("b", 2.0), ("c", 3.0)], ylabel="val/loss")
    found = pixels(path)
    bars = places(found, BLUE), places(found, (166, 200, 224))
    assert bars[0][:, 0].max() < bars[1][:, 0].min()
    widths = [np.ptp(bar[:, 1]) for bar in bars]
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.02)


def test_there_are_30_bars_at_most(path: Path) -> None:
    rows = [(f"lr={k}", float(k)) for k in range(1, 41)]
    figures.leaderboard_bars(path, rows[:30], ylabel="val/loss")
    size = pixels(path).shape
    figures.leaderboard_bars(path, rows, ylabel="val/loss")
    assert pixels(path).shape == size


@pytest.mark.parametrize(
    "values",
    [
        *([], [0.0], [math.nan], [math.inf], [-math.inf], [0.5, -0.1, -4e300], [1e-9, 1e300]),
        [0.1, 0.2, 1e22, math.inf, math.nan],
    ],
)
def test_bars_take_any_values(path: Path, values: list[float]) -> None:
    rows = [(f"a very long name of a run in a sweep {k} " * 3, x) for k, x in enumerate(values)]
    figures.leaderboard_bars(path, rows, ylabel="val/loss")
    pixels(path)


def test_one_bar_out_of_all_proportion_leaves_the_others_visible(path: Path) -> None:
    rows = [("a", 1.0), ("b", 1.5), ("c", 1e30)]
    figures.leaderboard_bars(path, rows, ylabel="val/loss")
    assert np.ptp(places(pixels(path), BLUE)[:, 1]) > 40
