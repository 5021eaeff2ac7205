"""Signals end the program within moments, wherever it is, and the run can go on to the bit."""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import programs
import psutil
import pytest
import scenes
import uploads
from programs import Ended, Running

from experiments.runs import checkpoints, journal

pytestmark = pytest.mark.process

SOON = 2.0  # seconds from a signal to the end
PLUGINS = '''
import time
from pathlib import Path

import torch

from experiments import Dataset, Metric, Network, Model, Task, lookup, number, register

BEGUN = Path(__file__).with_name("begun")


@register("slow_linear")
class SlowLinear(Model):
    """A linear model whose steps take time."""

    pause: float = number(0.005, at_least=0)

    def build(self, spec):
        weights = torch.zeros(spec.features, spec.outputs, requires_grad=True)
        return Network({"weights": weights}, self.forward)

    def forward(self, params, inputs):
        if torch.is_grad_enabled():
            time.sleep(self.pause)
        return inputs.flatten(1) @ params["weights"]


@register("slow_accuracy")
class SlowAccuracy(Metric):
    """A metric that takes time for each batch."""

    tasks = frozenset({Task.classification})
    pause: float = number(0.1, at_least=0)

    def statistics(self, outputs, targets):
        BEGUN.touch()
        time.sleep(self.pause)
        return torch.stack([(outputs.argmax(-1) == targets).sum(), torch.tensor(len(targets))])

    def value(self, total):
        return total[0] / total[1]


@register("slow_digits")
class SlowDigits(Dataset):
    """Digits that take a minute to load."""

    def load(self):
        BEGUN.touch()
        time.sleep(60)
        return lookup("dataset", "digits")().load()
'''
STEPS = 80
# About two seconds of steps, each seen in the journal, and many checkpoints.
SLOW = (
    *programs.QUICK,
    *("model=slow_linear", "optimizer=adam", f"max_steps={STEPS}", "log_every=1"),
    *("checkpoint.every=7", "checkpoint.unit=step", "evaluate.unit=step", "evaluate.every=11"),
)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """Return a folder with plugins that take time."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "slow.py").write_text(PLUGINS)
    return folder


@pytest.fixture
def arguments(tmp_path: Path, plugins: Path) -> tuple[str, ...]:
    """Return the settings of a slow run."""
    return (*SLOW, f"plugin_path=[{plugins}]", f"output={tmp_path / 'runs'}")


@pytest.fixture(autouse=True)
def _no_uploader_is_left(tmp_path: Path) -> Iterator[None]:
    with uploads.reaped(tmp_path):
        yield


def interrupted(ended: Ended, number: int, folder: Path | None = None) -> list[str]:
    """Check how an interrupted program ends, and return the settings that it says go on."""
    assert ended.status == 128 + number, ended
    name = signal.Signals(number).name
    hint = r"; go on with: python run\.py (.+)|; the same command goes on with what is missing"
    found = re.fullmatch(rf"interrupted by {name}({hint})?\n", ended.err)
    assert found, ended.err
    if folder is None:
        return []
    assert found[2], ended.err
    assert programs.status_of(folder) == "KILLED"
    return shlex.split(found[2])


def until_step(running: Running, output: Path, step: int) -> Path:
    """Wait until a run has come so far, and return its folder."""
    folder = programs.only_run(output)
    assert programs.eventually(lambda: programs.reached(folder) >= step), running.wait()
    return folder


def tell(record: Callable[[str, object], None], seconds: list[float]) -> None:
    """Report how long the ends took."""
    ordered = sorted(seconds)
    shown = {"p50": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * len(ordered))]}
    for name, value in (shown | {"max": ordered[-1]}).items():
        record(name, round(value, 3))
        print(f"{name} {value:.3f} s", end="  ")
    print(f"of {len(seconds)}")


def test_at_any_step(
    tmp_path: Path,
    arguments: tuple[str, ...],
    rounds: Callable[[int, int], int],
    record_property: Callable[[str, object], None],
) -> None:
    *settings, _ = arguments
    whole = programs.run(*settings, f"output={tmp_path / 'whole'}", log=tmp_path / "log")
    assert whole.status == 0, whole.err
    expected = scenes.outcome(programs.only_run(tmp_path / "whole"))
    chance, seconds = random.Random(9), []
    for n in range(rounds(40, 2)):
        place = tmp_path / f"{n}"
        running = programs.forked(*settings, f"output={place}", log=tmp_path / f"log{n}")
        folder = until_step(running, place, chance.randint(1, STEPS - 10))
        time.sleep(chance.uniform(0, 0.01))
        number = chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        ended, taken = running.signalled(number)
        seconds.append(taken)
        again = interrupted(ended, number, folder)
        run_id = journal.start_of(folder)["run_id"]
        assert (
            checkpoints.newest(folder, run_id, (folder / journal.FILE).stat().st_size) is not None
        )
        if n % rounds(4, 2) == 0:
            assert programs.run(*again, log=tmp_path / "again").status == 0
            assert scenes.same(scenes.outcome(folder), expected)
    tell(record_property, seconds)
    assert max(seconds) < SOON


@pytest.mark.whole
def test_as_a_user_starts_it(
    tmp_path: Path,
    arguments: tuple[str, ...],
    record_property: Callable[[str, object], None],
) -> None:
    chance, seconds = random.Random(10), []
    for n in range(4):
        place = tmp_path / f"{n}"
        running = programs.started(*arguments, f"output={place}", log=tmp_path / f"log{n}")
        folder = until_step(running, place, chance.randint(1, STEPS - 10))
        number = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[n % 3]
        ended, taken = running.signalled(number)
        seconds.append(taken)
        interrupted(ended, number, folder)
    tell(record_property, seconds)
    assert max(seconds) < SOON


@pytest.mark.whole
def test_while_evaluating(tmp_path: Path, arguments: tuple[str, ...], plugins: Path) -> None:
    # 27 batches of the val split, each 0.03 s.
    slow = ("metric=[slow_accuracy]", "metric.slow_accuracy.pause=0.03", "evaluate.batch_size=10")
    settings = (*arguments, *slow, "max_steps=22")
    whole = programs.forked(*settings, f"output={tmp_path / 'whole'}", log=tmp_path / "whole.log")
    assert whole.wait().status == 0
    (plugins / "begun").unlink()
    running = programs.forked(*settings, log=tmp_path / "log")
    assert programs.eventually((plugins / "begun").exists)
    ended, taken = running.signalled(signal.SIGTERM)
    folder = programs.only_run(tmp_path / "runs")
    again = interrupted(ended, signal.SIGTERM, folder)
    assert taken < SOON
    assert programs.reached(folder) == 11
    assert programs.run(*again, log=tmp_path / "again").status == 0
    expected = scenes.outcome(programs.only_run(tmp_path / "whole"))
    assert scenes.same(scenes.outcome(folder), expected)


@pytest.mark.whole
def test_while_saving(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    model = ("model=mlp", "model.hidden=[1024,1024]", "checkpoint.every=1")
    for n in range(4):
        place = tmp_path / f"{n}"
        running = programs.forked(*arguments, *model, f"output={place}", log=tmp_path / f"log{n}")
        folder = until_step(running, place, 4 * n + 1)
        parts = folder / "checkpoints"
        assert programs.eventually(lambda parts=parts: list(parts.glob("*.part")), pause=0)
        ended, taken = running.signalled(signal.SIGINT)
        again = interrupted(ended, signal.SIGINT, folder)
        assert taken < SOON
        assert not list(parts.glob("*.part"))
    assert programs.run(*again, log=tmp_path / "again").status == 0


@pytest.mark.whole
def test_while_loading_data(tmp_path: Path, arguments: tuple[str, ...], plugins: Path) -> None:
    running = programs.forked(*arguments, "dataset=slow_digits", log=tmp_path / "log")
    assert programs.eventually((plugins / "begun").exists)
    ended, taken = running.signalled(signal.SIGTERM)
    interrupted(ended, signal.SIGTERM)
    assert taken < SOON
    assert not (tmp_path / "runs").exists()


@pytest.mark.whole
def test_while_drawing_figures(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    running = programs.forked(*arguments, "tracking.figures=true", log=tmp_path / "log")
    folder = programs.only_run(tmp_path / "runs")
    assert programs.eventually(lambda: list(folder.glob("figures/*.png")))
    ended, taken = running.signalled(signal.SIGTERM)
    again = interrupted(ended, signal.SIGTERM, folder)
    assert taken < SOON
    few = len(list(folder.glob("figures/*.png")))
    assert programs.run(*again, log=tmp_path / "again").status == 0
    assert programs.status_of(folder) == "FINISHED"
    assert len(list(folder.glob("figures/*.png"))) > few


def test_while_a_store_does_not_answer(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    dead = ("tracking=mlflow", "tracking.uri=http://127.0.0.1:9", "tracking.wait=60")
    running = programs.forked(*arguments, *dead, "max_steps=20", log=tmp_path / "log")
    folder = programs.only_run(tmp_path / "runs")
    assert programs.eventually(lambda: programs.status_of(folder) == "FINISHED")
    time.sleep(0.3)  # it waits for the upload now
    ended, taken = running.signalled(signal.SIGTERM)
    interrupted(ended, signal.SIGTERM)
    assert taken < SOON
    assert programs.status_of(folder) == "FINISHED"


@pytest.mark.whole
def test_while_training_beside_a_store_that_does_not_answer(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    dead = ("tracking=mlflow", "tracking.uri=http://127.0.0.1:9", "tracking.wait=60")
    running = programs.forked(*arguments, *dead, log=tmp_path / "log")
    folder = until_step(running, tmp_path / "runs", 30)
    ended, taken = running.signalled(signal.SIGINT)
    interrupted(ended, signal.SIGINT, folder)
    assert taken < SOON


@pytest.mark.whole
def test_while_importing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    for n, number in enumerate((signal.SIGTERM, signal.SIGINT) * 5):
        running = programs.started(*arguments, log=tmp_path / f"log{n}")
        time.sleep(0.01 * 1.6**n)  # up to 0.7 s
        ended, taken = running.signalled(number)
        assert taken < SOON
        if ended.status == 128 + number:
            assert "Traceback" not in ended.err
        else:  # the program had not begun, and Python or the system ended it
            own = ended.status == 1 and "KeyboardInterrupt" in ended.err.splitlines()[-1]
            assert ended.status == -number or own, ended


def test_an_interrupt_tears_no_import_and_is_not_lost_in_one() -> None:
    # An exception in a weak reference's callback is ignored: importing has such.
    code = f"""
import os, runpy, signal, sys, weakref

class Finder:
    def find_spec(self, name, *_):
        if name == "experiments.errors":
            dying = set()
            seen = weakref.ref(dying, lambda _: os.kill(os.getpid(), signal.SIGINT))
            del dying

sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["run.py", "--help"]
runpy.run_path({str(programs.ROOT / "run.py")!r}, run_name="__main__")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.mark.whole
def test_a_second_signal_ends_at_once(
    tmp_path: Path, arguments: tuple[str, ...], plugins: Path
) -> None:
    slow = ("metric=[slow_accuracy]", "metric.slow_accuracy.pause=20")
    running = programs.forked(*arguments, *slow, log=tmp_path / "log")
    assert programs.eventually((plugins / "begun").exists)
    os.kill(running.pid, signal.SIGTERM)  # a batch cannot be interrupted
    time.sleep(0.5)
    os.kill(running.pid, 0)
    ended, taken = running.signalled(signal.SIGINT)
    assert ended.status == 128 + signal.SIGINT
    assert taken < 0.5
    folder = programs.only_run(tmp_path / "runs")
    run_id = journal.start_of(folder)["run_id"]
    assert checkpoints.newest(folder, run_id, (folder / journal.FILE).stat().st_size) is not None


@pytest.mark.whole
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_whole_group_with_workers(
    tmp_path: Path, arguments: tuple[str, ...], number: int
) -> None:
    workers = ("dataset.resident=false", "data.workers=2")
    running = programs.started(*arguments, *workers, log=tmp_path / "log")
    folder = until_step(running, tmp_path / "runs", 10)
    children = psutil.Process(running.pid).children(recursive=True)
    assert len(children) >= 2
    ended, taken = running.signalled(number, group=True)
    again = interrupted(ended, number, folder)
    assert taken < SOON
    assert not psutil.wait_procs(children, timeout=1)[1]
    assert programs.run(*again, log=tmp_path / "again").status == 0


@pytest.mark.whole
def test_what_it_was_started_to_ignore_is_ignored(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    running = programs.started(*arguments, log=tmp_path / "log", ignored=signal.SIGHUP)
    folder = until_step(running, tmp_path / "runs", 10)
    ended, _ = running.signalled(signal.SIGHUP)
    assert ended.status == 0, ended.err
    assert programs.status_of(folder) == "FINISHED"


@pytest.mark.whole
def test_a_sweep_ends_and_its_job_goes_on(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    running = programs.forked("-m", "seed=1,2,3", *arguments, log=tmp_path / "log")
    assert programs.eventually(lambda: list((tmp_path / "runs").glob("*-sweep/1/journal.jsonl")))
    (job,) = (tmp_path / "runs").glob("*-sweep/1")
    assert programs.eventually(lambda: programs.reached(job) > 10)
    ended, taken = running.signalled(signal.SIGTERM)
    interrupted(ended, signal.SIGTERM)
    assert taken < SOON
    folders = (job.parent, *(job.with_name(name) for name in "012"))
    assert [programs.status_of(folder) for folder in folders] == ["KILLED"] * 4  # of one group
    *_, code, output = arguments  # no journal decides about these
    again = programs.run(f"resume={job.parent.name}/1", code, output, log=tmp_path / "again")
    assert again.status == 0, again.err
    assert programs.status_of(job) == "FINISHED"
