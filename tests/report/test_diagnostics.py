"""What was measured as a table and as a figure: few layers and many, odd numbers and none."""

import csv
import math
from pathlib import Path

import pytest
from PIL import Image

from experiments.report import diagnostics

NAMES = ["norm/params", "norm/gradient", "norm/update", "update_ratio", "cosine_update"]
NAMES += ["cosine_gradients", "effective_lr_q05", "effective_lr_q50", "effective_lr_q95"]
NAMES += ["noise/variance", "noise/square", "noise_scale"]
WHOLE = ["sharpness", "two_over_lr"]


def measured(layers: int, steps: int, value: float = math.nan) -> diagnostics.Measurements:
    """Return numbers that differ, but for `value` where it is not NaN."""
    names = ["(all)", *(f"block{k}.conv.weight" for k in range(layers))]
    found = {}
    for t in range(1, steps + 1):
        found[t] = {layer: dict.fromkeys(NAMES, value) for layer in names}
        if math.isnan(value):
            for k, own in enumerate(found[t].values(), start=1):
                own.update(dict.fromkeys(NAMES, k + math.sin(t / 9 + k) / 2))
        found[t]["(all)"] |= dict.fromkeys(WHOLE, 0.5 if math.isnan(value) else value)
    return found


def test_the_table_has_a_row_a_step_and_layer(tmp_path: Path) -> None:
    path = tmp_path / "diagnostics.csv"
    path.write_text(diagnostics.layers_table(measured(2, 3, value=math.inf)), encoding="utf-8")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    assert [row["layer"] for row in rows[:3]] == [
        "(all)",
        "block0.conv.weight",
        "block1.conv.weight",
    ]
    assert list(rows[0]) == ["step", "layer", *NAMES, *WHOLE]
    assert [row["sharpness"] for row in rows[:3]] == ["inf", "", ""]


@pytest.mark.parametrize(
    ("layers", "steps", "value"),
    [
        pytest.param(1, 1, math.nan, marks=pytest.mark.whole),
        (2, 30, math.nan),
        pytest.param(60, 1000, math.nan, marks=pytest.mark.whole),
        (8, 3, math.inf),
        *(
            pytest.param(8, 3, value, marks=pytest.mark.whole)
            for value in (0.0, -1.0, -math.inf, 1e308, 1e-320)
        ),
    ],
)
def test_the_figure_shows_any_numbers(
    tmp_path: Path, layers: int, steps: int, value: float
) -> None:
    path = tmp_path / "diagnostics.png"
    diagnostics.layers_chart(path, measured(layers, steps, value))
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == 1200


def test_what_is_undefined_is_a_gap_and_what_is_lost_a_cross(tmp_path: Path) -> None:
    odd = {t: {"(all)": dict.fromkeys(NAMES, math.nan if t == 2 else 1.0)} for t in (1, 2, 3)}
    path = tmp_path / "diagnostics.png"
    diagnostics.layers_chart(path, odd)
    assert path.stat().st_size > 10_000
