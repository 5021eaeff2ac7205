"""Processes that upload, journals for them, and what a store has of them afterwards.

A fork server imports MLflow and torch once, so that a process which a test starts, and may kill,
takes a moment and not seconds.
"""

import gc
import json
import multiprocessing
import os
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from experiments.runs import journal
from experiments.runs.journal import Journal
from experiments.tracking.decimation import stride

ROOT = Path(__file__).parents[2]
QUIET = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
SHORT = (
    *("device=cpu", "device.threads=1", "log_every=20"),
    *("tracking.figures=false", "tracking.model=false"),
)

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(
    [
        *(
            "experiments.tracking.feed",
            "experiments.tracking.sync",
            "experiments.cli.main",
            "alembic.command",
        ),
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
        *("sklearn.datasets", "experiments.training.checkpoint"),
    ]
)


@dataclass(frozen=True, slots=True)
class Done:
    """What a process has left behind."""

    status: int
    out: str
    err: str


def started(
    function: Callable[..., Any], *arguments: Any, log: Path, env: Mapping[str, str] | None = None
) -> BaseProcess:
    """Start a function in a process of its own, whose output goes to `log`.out and .err."""
    wanted = {**os.environ, **QUIET, **(env or {})}
    wanted = {name: value for name, value in wanted.items() if not name.startswith("PYTEST")}
    process = _server.Process(target=_run, args=(function, arguments, str(log), wanted))
    process.start()
    return process


def finished(process: BaseProcess, log: Path, timeout: float = 120) -> Done:
    """Wait for a process, and return what it left."""
    process.join(timeout)
    assert process.exitcode is not None, Path(f"{log}.err").read_text()
    texts = [Path(f"{log}.{end}").read_text(errors="replace") for end in ("out", "err")]
    return Done(process.exitcode, *texts)


def sync(
    *arguments: str | Path, log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run `experiments sync`."""
    texts = ["sync", *map(str, arguments)]
    process = started(command, texts, str(cwd or log.parent), log=log, env=env)
    return finished(process, log)


def command(arguments: Sequence[str], cwd: str) -> int:
    """Run the `experiments` command in a folder; this is called in the started process."""
    from experiments.cli import commands

    os.chdir(cwd)
    return commands.command(arguments)


def impatient_command(arguments: Sequence[str], cwd: str) -> int:
    """Do as `command`, and wait for no other process; this is called in the started process."""
    from experiments.tracking import sync

    sync._WAITS = (0.1, 0.2)
    return command(arguments, cwd)


def command_by_mlflow(arguments: Sequence[str], cwd: str) -> int:
    """Do as `command`, and leave all writing to MLflow; this is called in the started process."""
    from experiments.tracking import store

    store.is_known = lambda _: False
    return command(arguments, cwd)


def command_that_dies(arguments: Sequence[str], cwd: str) -> int:
    """Do as `command`, and die where tags would join two runs; this is called in the process."""
    from experiments.tracking import client, store

    log_batch = client.Client.log_batch

    def dying(self: Any, run_id: str, **items: Any) -> None:
        if any(tag.key == "mlflow.parentRunId" for tag in items.get("tags", ())):
            os._exit(137)
        log_batch(self, run_id, **items)

    client.Client.log_batch, store.is_known = dying, lambda _: False
    return command(arguments, cwd)


def execute(code: str, arguments: Sequence[str]) -> int:
    """Execute code with the arguments; this is called in the started process."""
    sys.argv = ["code", *arguments]
    try:
        exec(code, {})
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def open_store(uri: str) -> int:
    """Open a store, and make it; this is called in the started process."""
    from experiments.tracking.store import open_store

    open_store(uri)
    return 0


def follow(folder: str, uri: str, word: str = "", patience: float = 600.0) -> int:
    """Upload as the uploader of a command that has ended; this is called in the started process."""
    from experiments.tracking import feed, uploader

    feed._PATIENCE = patience

    source, sink = os.pipe()
    os.write(sink, word.encode())
    os.close(sink)
    sys.stdin, sys.argv = os.fdopen(source), ["uploader", folder]
    os.environ["MLFLOW_TRACKING_URI"] = uri
    return uploader.main()


def hold(folder: str, steps: int) -> int:
    """Run until something kills this, which is called in the started process."""
    tracker = write_run(Path(folder), steps=steps, end=None)
    time.sleep(600)
    tracker.close()
    return 0


def _own_time() -> float:
    """Return seconds that stand still while this thread could go on but has no processor."""
    try:
        waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    except FileNotFoundError:  # Linux alone tells
        waited = 0
    return time.monotonic() - waited / 1e9


def train(overrides: Sequence[str], result: str, pause: float, gate: str) -> int:
    """Run the command with a pause after each step; keep its status and how long each step took.

    This is called in the started process. The time of a step is that of computing it and of all
    that the run does before the next one, without that in which the processor was another's.
    After 200 steps it waits until the file `gate` is there, if one is named.
    """
    from experiments.cli import main
    from experiments.training import engine

    gc.freeze()  # a trainer loads no MLflow, whose objects would take half a second to look through
    steps, times, last = engine.steps, [], 0.0

    def timed(session: Any, after: int = 0) -> Iterator[Any]:
        nonlocal last
        begun = _own_time()
        for step in steps(session, after):
            times.append(_own_time() - begun)
            time.sleep(pause)
            if gate and len(times) == 200:
                eventually(Path(gate).exists, 120)
            begun, last = _own_time(), time.monotonic()
            yield step

    engine.steps = timed
    status = main.command(ROOT, overrides)
    ended = time.monotonic()
    facts = {"status": status, "times": times, "after": ended - last}
    Path(result).write_text(json.dumps(facts))
    return status


def write_run(
    folder: Path,
    *,
    steps: int = 40,
    end: str | None = "FINISHED",
    names: Sequence[str] = ("train/loss",),
    parent: str | None = None,
    offset: float = 0.0,
) -> Journal:
    """Write a run's journal of some numbers, and return it: closed if the run has an end."""
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Journal(folder)
    tracker.add(
        "start", run_id=f"id-{folder.parent.name}-{folder.name}", parent_id=parent,
        experiment="faults", name=folder.name, overrides=[], tags={"a": "b"},
        params={"lr": 0.1}, config={},
    )  # fmt: skip
    (folder / "notes.txt").write_text(folder.name)
    tracker.artifact("notes.txt")
    for first in range(1, steps + 1, 50):
        values = [offset + step for step in range(first, min(first + 50, steps + 1))]
        for name in names:
            tracker.series(first, {name: values})
    if end:
        tracker.add("end", status=end)
        tracker.close()
    return tracker


@contextmanager
def connected(store: Path) -> Iterator[sqlite3.Connection]:
    """Change a store's database meanwhile."""
    with closing(sqlite3.connect(store, timeout=30)) as connection, connection:
        yield connection


def select(store: Path, query: str) -> list[tuple[Any, ...]]:
    """Return what a store's database answers."""
    with sqlite3.connect(store, timeout=30) as connection:
        rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def statuses(store: Path) -> dict[str, str]:
    """Return every run's status by its name; a name is there once."""
    rows = select(store, "select name, status from runs")
    assert len(dict(rows)) == len(rows), rows
    return dict(rows)


def rows(store: Path, run: Path, *, metric: str = "train/loss") -> list[tuple[int, float]]:
    """Return the steps and values that a store has of a run's metric, each as often as stored."""
    own = journal.start_of(run)["run_id"]
    return select(
        store,
        "select step, metrics.value from metrics join tags using (run_uuid) where metrics.key = "
        f"'{metric}' and tags.key = 'experiments.run_id' and tags.value = '{own}' order by step",
    )


def expected(run: Path, *, metric: str = "train/loss") -> list[tuple[int, float]]:
    """Return the steps and values of a metric in a run's journal that a store has to have."""
    events = (event for event, _ in journal.read(run / journal.FILE))
    numbers = [
        point for e in events if e["event"] in journal.NUMBERS for point in journal.points(e)
    ]
    points = [(step, value) for name, step, value in numbers if name == metric]
    last = len(points) - 1
    return sorted(point for n, point in enumerate(points) if n % stride(n) == 0 or n == last)


def position(run: Path) -> dict[str, Any]:
    """Return the only position in a run's upload.json."""
    (found,) = json.loads((run / "upload.json").read_text()).values()
    return dict(found)


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def uploaders(folder: Path) -> list[psutil.Process]:
    """Return the uploaders that serve folders below this one."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if "experiments.tracking.uploader" in line and any(
            text.startswith(str(folder)) for text in line
        ):
            found.append(process)
    return found


@contextmanager
def reaped(folder: Path) -> Iterator[None]:
    """Kill the uploaders that are left at the end, by their ids."""
    try:
        yield
    finally:
        for process in uploaders(folder):
            process.kill()


def _run(
    function: Callable[..., Any], arguments: Sequence[Any], log: str, env: Mapping[str, str]
) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, end in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{log}.{end}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        status = function(*arguments)
    except SystemExit as leaving:
        status = leaving.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0)
