"""What a sweep's leaderboard averages: runs that only repeat another."""

import csv
from pathlib import Path
from statistics import mean, stdev

import pytest
from composed import ROOT
from folds import folded

from experiments.api import script
from experiments.config.schema import is_repeat

pytestmark = pytest.mark.usefixtures("own_registry")


@pytest.mark.whole
def test_folds_are_averaged_as_seeds_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folded()
    lines = ["dataset=folded", "dataset.fold=range(3)", "epochs=1", f"output={tmp_path}"]
    runs = script.sweep(*lines, "optimizer.lr=0.01,1", "tracking=offline", root=ROOT)
    assert runs.folder is not None
    with (runs.folder / "over_folds.csv").open() as file:
        rows = {row["optimizer.lr"]: row for row in csv.DictReader(file)}
    for rate, row in rows.items():
        own = [run for run in runs if run.settings["optimizer.lr"] == float(rate)]
        values = [run.metrics["best/val/accuracy"] for run in own]
        assert len(values) == 3
        assert row["mean val/accuracy"] == f"{mean(values):.4f}"
        assert row["deviation"] == f"{stdev(values):.4f}"
        assert (row["folds"], row["lost"]) == ("3", "0")
    assert "deviation  folds  lost" in capsys.readouterr().out


@pytest.mark.whole
def test_a_fold_alone_is_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    folded()
    lines = ["dataset=folded", "dataset.fold=range(3)", "repeats=2", "epochs=1", "tracking=none"]
    script.sweep(*lines, root=ROOT)
    table = capsys.readouterr().out.partition("mean val/accuracy")[2].splitlines()
    assert table[0].split() == ["deviation", "folds", "and", "seeds", "lost"]
    assert table[2].split()[2:] == ["6", "0"]
    assert not table[3]


def test_what_declares_it_repeats_a_run() -> None:
    folded()
    keys = ["seed", "dataset.fold", "+dataset.fold", "dataset.folds", "optimizer.lr", "no.such"]
    assert list(map(is_repeat, keys)) == [True, True, True, False, False, False]
