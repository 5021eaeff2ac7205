"""What reading a table costs beside pandas alone: `python -m benchmarks.tables`.

A file of random numbers in 20 columns is read in turn by `pandas.read_csv`, by the plugin, and as a
run reads it: checked and judged, and again from the copy that it has kept. One process, CPU time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.markdown import number, table
from benchmarks.race import CHECKOUT
from experiments import Dataset, lookup
from experiments.data.cache import load_splits
from experiments.plugin import discovery

ROWS = (10_000, 100_000, 1_000_000)
_COLUMNS = 20


def main() -> None:
    """Print the CPU seconds of each way, along the number of rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    discovery.discover(CHECKOUT)
    header = ["rows", "pandas, s", "plugin, s", "times pandas", "as a run, s", "again, s"]
    with tempfile.TemporaryDirectory() as folder:
        print(table(header, [_row(Path(folder), rows, rounds) for rows in ROWS]))


def _row(folder: Path, rows: int, rounds: int) -> list[str]:
    path = folder / f"{rows}.csv"
    _write(path, rows)
    dataset = lookup("dataset", "csv")(**{"path": str(path)})
    assert isinstance(dataset, Dataset)
    load_splits(dataset, folder, keep=True)  # imports what reading needs, and keeps a copy
    ways: dict[str, Callable[[], object]] = {
        "pandas": lambda: pd.read_csv(path),
        "plugin": dataset.load,
        "run": lambda: load_splits(dataset, folder / "nothing", keep=False),
        "again": lambda: load_splits(dataset, folder, keep=False),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, read in ways.items():
            started = time.process_time()
            read()
            found[name].append(time.process_time() - started)
    pairs = zip(found["plugin"], found["pandas"], strict=True)
    ratio = median(plugin / alone for plugin, alone in pairs)
    pandas, plugin, run, again = (number(median(seconds)) for seconds in found.values())
    return [f"{rows:,}", pandas, plugin, number(ratio), run, again]


def _write(path: Path, rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, _COLUMNS)).round(4)
    frame = pd.DataFrame(values, columns=[f"x{column}" for column in range(_COLUMNS)])
    frame.to_csv(path, index=False)


if __name__ == "__main__":
    main()
