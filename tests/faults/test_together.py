"""Runs and sweeps of one moment keep to folders of their own; a folder is one run's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import pytest
import scenes

from experiments.runs import journal

pytestmark = pytest.mark.process

RUN = (*programs.QUICK, "max_steps=40", "log_every=5", "optimizer=adam")
# All of them begin in the same second, whenever they do.
SAME_SECOND = "import time; time.strftime = lambda *_: '20260101-000000'"
SAME_ID = f"{SAME_SECOND}; import secrets; secrets.token_hex = lambda _: 'abcdef'"


def seed_of(folder: Path) -> Any:
    """Return the seed of the run in a folder, which is the only one that ever was there."""
    events = [event for event, _ in journal.read(folder / journal.FILE)]
    names = [event["event"] for event in events]
    assert (names[0], names.count("start"), names[-1], names.count("end")) == ("start", 1, "end", 1)
    assert events[-1]["status"] == "FINISHED"
    scenes.numbers(folder)
    return events[0]["config"]["seed"]


def alone(tmp_path: Path) -> dict[str, Any]:
    """Return the outcome of a run that has its folder for itself."""
    output = tmp_path / "alone"
    ended = programs.run(*RUN, f"output={output}", log=tmp_path / "alone.log")
    assert ended.status == 0, ended.err
    return scenes.outcome(programs.only_run(output))


def refused(ended: programs.Ended, text: str) -> None:
    """Check that a program refused, in one line."""
    assert ended.status == 2, ended
    assert text in ended.err
    assert ended.err.count("\n") == 1


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_runs_and_sweeps_of_the_same_second(
    tmp_path: Path, rounds: Callable[[int, int], int]
) -> None:
    runs, sweeps = rounds(8, 2), rounds(2, 1)
    here = (*RUN, f"output={tmp_path / 'runs'}")
    started = [
        programs.forked(*here, f"seed={n}", log=tmp_path / f"run{n}", code=SAME_SECOND)
        for n in range(runs)
    ]
    started += [
        programs.forked(
            "-m", *here, f"seed={10 * n},{10 * n + 1}", log=tmp_path / f"sweep{n}", code=SAME_SECOND
        )
        for n in range(1, sweeps + 1)
    ]
    for running in started:
        ended = running.wait()
        assert ended.status == 0, ended.err
    folders = [path.parent for path in (tmp_path / "runs").glob(f"*/{journal.FILE}")]
    assert all(folder.name.startswith("20260101-000000-") for folder in folders)
    several = [folder for folder in folders if folder.name.endswith("-sweep")]
    single = [folder for folder in folders if folder not in several]
    assert sorted(map(seed_of, single)) == list(range(runs))
    jobs = [[seed_of(folder / str(n)) for n in range(2)] for folder in several]
    assert sorted(jobs) == [[10 * n, 10 * n + 1] for n in range(1, sweeps + 1)]


def test_a_folder_that_another_run_has(tmp_path: Path) -> None:
    expected = alone(tmp_path)
    output = tmp_path / "runs"
    here = (*RUN, f"output={output}", f"hydra.run.dir={output / 'one'}")
    gate = tmp_path / "gate"
    first = programs.forked(*here, log=tmp_path / "first", code=programs.held(gate))
    folder = programs.only_run(output)
    assert programs.eventually(lambda: programs.reached(folder) > 0)
    refused(programs.run(*here, "seed=1", log=tmp_path / "second"), "busy")
    refused(programs.run("resume=one", f"output={output}", log=tmp_path / "third"), "busy")
    gate.touch()
    assert first.wait().status == 0
    assert scenes.same(scenes.outcome(folder), expected)
    before = files(output)
    refused(programs.run(*here, "seed=1", log=tmp_path / "fourth"), "already holds a run")
    assert files(output) == before


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["folder", "id"])
def test_one_of_several_at_once_gets_a_folder(tmp_path: Path, kind: str) -> None:
    expected = alone(tmp_path)
    for n in range(4):
        output = tmp_path / f"runs{n}"
        name, code = ("one", "") if kind == "folder" else ("20260101-000000-abcdef", SAME_ID)
        explicit = (f"hydra.run.dir={output / name}",) if kind == "folder" else ()
        started = [
            programs.forked(
                *(*RUN, f"output={output}", *explicit), log=tmp_path / f"{n}-{k}", code=code
            )
            for k in range(3)
        ]
        ends = sorted((running.wait() for running in started), key=lambda ended: ended.status)
        assert ends[0].status == 0, ends[0].err
        for ended in ends[1:]:
            refused(ended, f"{name} ")
        assert scenes.same(scenes.outcome(programs.only_run(output)), expected)


@pytest.mark.whole
def test_a_sweep_in_the_folder_of_another(tmp_path: Path) -> None:
    output = tmp_path / "runs"
    here = ("-m", *RUN, f"output={output}", f"hydra.sweep.dir={output / 'one'}", "seed=1,2")
    gate = tmp_path / "gate"
    first = programs.forked(*here, log=tmp_path / "first", code=programs.held(gate))
    assert programs.eventually((output / "one" / "0" / journal.FILE).exists)
    refused(programs.run(*here, log=tmp_path / "second"), "busy")
    gate.touch()
    assert first.wait().status == 0
    assert [seed_of(output / "one" / str(n)) for n in range(2)] == [1, 2]
