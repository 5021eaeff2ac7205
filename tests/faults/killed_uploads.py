"""Uploads that are killed at random and done again; started as a program, as `killed_runs`."""

import argparse
import importlib
import json
import re
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]

import killed_runs
import scenes
import torch
import uploads
from composed import ROOT, compose
from killing import Killer, Report, Watch, parser

from experiments.cli import commands
from experiments.plugin.discovery import discover
from experiments.runs import journal
from experiments.runs.events import Event
from experiments.tracking import model, positions, store
from experiments.tracking.sqlite import LocalClient

# What an upload would else import in each attempt.
_HEAVY = (
    *("experiments.tracking.sync", "alembic.command", "sqlalchemy.dialects.sqlite"),
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
)
_MOST_KILLS = 3  # of one upload, which is then left to finish
_MODEL = re.compile(r"m-[0-9a-f]{32}")
# What two uploads of one run have in common: all but the ids that MLflow draws.
_QUERIES = {
    "runs": "select name, status, start_time, end_time from runs",
    "metrics": "select key, step, timestamp, value, is_nan from metrics",
    "last metrics": "select key, step, timestamp, value, is_nan from latest_metrics",
    "params": "select key, value from params",
    "tags": "select key, value from tags where key not like 'mlflow.log-model%'",
    "data": "select name, digest from datasets join inputs on source_id = dataset_uuid",
    "models": "select name, status from logged_models where lifecycle_stage = 'active'",
}


_KEPT = "select model_id from logged_models where lifecycle_stage = 'active'"


def sync(folder: Path, database: Path) -> int:
    """Upload a run as the command does."""
    return commands.command(["sync", str(folder), "--uri", f"sqlite:///{database}"])


def contents(database: Path) -> dict[str, Any]:
    """Return what a store and its artifacts have, but the ids that MLflow draws."""
    with closing(sqlite3.connect(database)) as connection:
        found: dict[str, Any] = {
            name: sorted(connection.execute(query).fetchall(), key=repr)
            for name, query in _QUERIES.items()
        }
        kept = {row[0] for row in connection.execute(_KEPT)}
    files = [path for path in (database.parent / "mlartifacts").rglob("*") if path.is_file()]
    names = (path.relative_to(database.parent).as_posix() for path in files)
    whole = [name for name in names if not set(_MODEL.findall(name)) - kept]
    found["artifacts"] = sorted(re.sub("[0-9a-f]{32}", "ID", name) for name in whole)
    return found


def differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Yield what is not as expected; `twice` where a number stands more than once."""
    points = [(key, step) for key, step, *_ in found["metrics"]]
    if len(set(points)) < len(points):
        yield "twice: a number stands twice in MLflow"
    for name, rows in expected.items():
        if rows != found[name]:
            before, after = Counter(rows), Counter(found[name])
            missing, more = list(before - after), list(after - before)
            yield f"{name}: missing {str(missing)[:150]}, more {str(more)[:150]}"


class Rounds:
    """Rounds of one run, whose upload is killed several times."""

    def __init__(self, run: Path, empty: Path, killer: Killer) -> None:
        self._run, self._empty, self._killer = run, empty, killer
        self._log = run.with_suffix(".log")
        folder, database = self._copies("whole")
        start = time.monotonic()
        if killer.attempt(partial(sync, folder, database), self._log):
            raise RuntimeError(self._log.read_text())
        self._seconds = time.monotonic() - start
        self._expected = contents(database)

    def one(self, number: int) -> None:
        """Kill an upload until it finishes, and compare."""
        report = self._killer.report
        report.rounds += 1
        folder, database = self._copies(str(number))
        for kills in range(_MOST_KILLS + 1):
            within = 0.8 * self._seconds if kills < _MOST_KILLS else None
            status = self._killer.attempt(partial(sync, folder, database), self._log, within)
            if status is not None:
                break
        found = [f"failed: {self._log.read_text()[-300:]}"] if status else []
        found += differences(self._expected, contents(database))
        report.violations += [f"{folder}: {text}" for text in found]
        if not found:
            shutil.rmtree(folder.parent)

    def _copies(self, name: str) -> tuple[Path, Path]:
        """Return a copy of the run and of the empty store."""
        place = self._run.with_name(f"{self._run.name}-{name}")
        shutil.copytree(self._run, place / "run")
        return place / "run", Path(shutil.copyfile(self._empty, place / "mlflow.db"))


def new_times() -> None:
    """Give what is sent again the time at which it is."""
    read = journal.read

    def reading(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
        for event, after in read(path, offset):
            yield event | {"time": time.time_ns() // 1_000_000}, after

    journal.read = reading


MUTANTS: dict[str, Callable[[], None]] = {"none": lambda: None, "new_times": new_times}


def trained(folder: Path) -> None:
    """Train a run with a model that MLflow can load."""
    overrides = [*scenes.QUICK, *killed_runs.SETTINGS["dropout"], "tracking.model=true"]
    killed_runs.train(compose([*overrides, f"output={folder.parent}"]), folder)


def numbers(folder: Path) -> None:
    """Write a run of many numbers."""
    uploads.write_run(folder, steps=1200, names=("train/loss", "norm/params"))


RUNS: dict[str, Callable[[Path], None]] = {"numbers": numbers, "trained": trained}


def main() -> None:
    """Kill as often as asked, or until a violation of the kind that is looked for."""
    arguments = parser()
    arguments.add_argument("--runs", nargs="+", default=list(RUNS))
    asked = arguments.parse_args()
    discover(ROOT)
    for module in _HEAVY:
        importlib.import_module(module)
    torch.set_num_threads(1)
    MUTANTS[asked.mutant]()
    watch = Watch(("sending", "keeping", "modelling"))
    watch.mark(LocalClient, "log_batch", "sending")
    watch.mark(positions, "record", "keeping")
    watch.mark(model, "add", "modelling")
    killer = Killer(watch, asked.seed)
    print(json.dumps(rounds(killer, asked.folder, asked).facts()))


def rounds(killer: Killer, folder: Path, asked: argparse.Namespace) -> Report:
    """Upload one run after another until that is enough."""
    start, report = time.monotonic(), killer.report
    folder.mkdir(parents=True)
    empty, log = folder / "empty.db", folder / "log"
    made = killer.attempt(lambda: store.open_store(f"sqlite:///{empty}") and None, log)
    for name in asked.runs:
        made = made or killer.attempt(partial(RUNS[name], folder / name), log)
    if made:
        raise RuntimeError(log.read_text())
    runs = [Rounds(folder / name, empty, killer) for name in asked.runs]
    while report.kills < asked.kills and not report.has(asked.until):
        runs[report.rounds % len(runs)].one(report.rounds)
    report.seconds = time.monotonic() - start
    return report


if __name__ == "__main__":
    main()
