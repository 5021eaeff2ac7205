"""A clock that jumps or stands still changes no number, no order and no choice of a run."""

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import programs
import pytest
import scenes
import uploads

from experiments.runs import journal
from experiments.runs.events import Event

pytestmark = pytest.mark.process

HOUR, YEAR = 3600, 365 * 24 * 3600
CLOCKS = {
    "back": f"now - {HOUR} if calls > 60 else now",
    "ahead": f"now + {YEAR} if calls > 60 else now",
    "still": "1.7e9",
}
CODE = """
import time
now_is, calls = time.time, 0

def told():
    global calls
    calls, now = calls + 1, now_is()
    return CLOCK

time.time, time.time_ns = told, lambda: int(told() * 1e9)
"""
RUN = (
    *programs.QUICK,
    *("max_steps=60", "optimizer=adam", "log_every=1", "time_limit=1000"),
    *("checkpoint.every=3", "checkpoint.unit=step", "evaluate.unit=step", "evaluate.every=5"),
)


def code(clock: str) -> str:
    """Return the code that gives a process another clock."""
    return CODE.replace("CLOCK", CLOCKS[clock])


def events_of(folder: Path) -> list[Event]:
    """Return the events of a run's journal."""
    return [event for event, _ in journal.read(folder / journal.FILE)]


def check_clock(events: list[Event], clock: str) -> None:
    """Check that the run had such a clock: the fault is there."""
    changes = [second["time"] - first["time"] for first, second in pairwise(events)]
    if clock == "still":
        assert set(changes) == {0}
    elif clock == "back":
        assert min(changes) < -0.9 * HOUR * 1000
    else:
        assert max(changes) > 0.9 * YEAR * 1000


def check_order(events: list[Event]) -> None:
    """Check that steps come in their order, and that the time trained only grows."""
    steps: dict[str, list[int]] = {}
    seconds = []
    for event in events:
        if event["event"] in journal.NUMBERS:
            for name, step, value in journal.points(event):
                steps.setdefault(name, []).append(step)
                seconds += [value] if name == "seconds" else []
    assert all(found == sorted(set(found)) for found in steps.values())
    assert len(seconds) == 12
    assert seconds == sorted(set(seconds))
    assert 0 < seconds[0] < seconds[-1] < 100


@pytest.mark.parametrize(
    "clock",
    ["back", *(pytest.param(clock, marks=pytest.mark.whole) for clock in ("ahead", "still"))],
)
def test_a_run_and_its_resumption(
    tmp_path: Path,
    clock: str,
    rounds: Callable[[int, int], int],
    request: pytest.FixtureRequest,
) -> None:
    whole = programs.run(*RUN, f"output={tmp_path / 'whole'}", log=tmp_path / "whole.log")
    assert whole.status == 0, whole.err
    output = f"output={tmp_path / 'runs'}"
    slowly = programs.SLOWLY + code(clock)
    running = programs.forked(*RUN, output, log=tmp_path / "log", code=slowly)
    folder = programs.only_run(tmp_path / "runs")
    assert programs.eventually(lambda: programs.reached(folder) > 30)
    ended, _ = running.signalled(signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM, ended.err
    check_clock(events_of(folder), clock)

    # By their times the previous checkpoint is the newer one.
    os.utime(folder / "checkpoints" / "last.safetensors", (1, 1))
    kept = programs.reached(folder)
    again = programs.run("resume=auto", *RUN, output, log=tmp_path / "again", code=code(clock))
    assert again.status == 0, again.err
    events = events_of(folder)
    (resumed,) = (event for event in events if event["event"] == "resume")
    assert kept <= resumed["step"] <= kept + 1
    check_order(events)
    expected = scenes.outcome(programs.only_run(tmp_path / "whole"))
    assert scenes.same(scenes.outcome(folder), expected)

    if not rounds(1, 0):
        return
    store: Path = request.getfixturevalue("store")
    done = uploads.sync(folder, "--uri", f"sqlite:///{store}", log=tmp_path / "sync")
    assert done.status == 0, done.err
    assert uploads.rows(store, folder) == uploads.expected(folder)
    latest = "select step from latest_metrics where key = 'train/loss'"
    assert uploads.select(store, latest) == [(60,)]


@pytest.mark.whole
def test_the_run_that_came_furthest_goes_on_whenever_it_began(tmp_path: Path) -> None:
    output = f"output={tmp_path / 'runs'}"
    for name, step in (("20270101-000000", 5), ("20260101-000000", 30), ("20280101-000000", 15)):
        began = f"import time; time.strftime = lambda *_: '{name}'"
        running = programs.forked(
            *RUN, output, log=tmp_path / name, code=f"{programs.SLOWLY}\n{began}"
        )
        found: list[Path] = []
        assert programs.eventually(
            lambda name=name, found=found: (
                found.extend(
                    path.parent for path in (tmp_path / "runs").glob(f"{name}-*/{journal.FILE}")
                )
                or bool(found)
            )
        )
        assert programs.eventually(
            lambda step=step, found=found: programs.reached(found[0]) >= step
        )
        assert running.signalled(signal.SIGINT)[0].status == 128 + signal.SIGINT
    assert programs.run("resume=auto", *RUN, output, log=tmp_path / "again").status == 0
    ends = {
        path.parent.name[:4]: programs.status_of(path.parent)
        for path in (tmp_path / "runs").glob(f"*/{journal.FILE}")
    }
    assert ends == {"2026": "FINISHED", "2027": "KILLED", "2028": "KILLED"}
