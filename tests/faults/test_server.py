"""A tracking server that is absent, dies, hangs, fails or is slow costs a run nothing but 5 s."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uploads
from proxy import Proxy, proxy

from experiments.runs import journal

pytestmark = pytest.mark.process

WAIT = 5.0  # seconds that a command waits for an upload that is stuck: the default
# Beside the wait, a run evaluates, writes its files and checks that the uploader still runs.
SLACK = 2.0
STEPS = 4184
BEGUN = 120.0  # seconds until an upload has begun, on a machine that is busy
PAUSE = 0.001  # seconds after each step, so that there is time for a fault


@dataclass(frozen=True, slots=True)
class Trained:
    """A command that has ended: its run, its output, and what `uploads.train` measured."""

    run: Path
    done: uploads.Done
    facts: dict[str, Any]

    @property
    def slowest(self) -> float:
        """The seconds of the slowest step but the first, which loads what torch loads late."""
        return max(self.facts["times"][1:])


@dataclass(slots=True)
class Server:
    """A real `mlflow server` over a store, which can be killed and started again."""

    store: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.store}", "--port", str(self.port)]
        command += ["--artifacts-destination", str(self.store.parent / "artifacts")]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **uploads.QUIET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert uploads.eventually(self.answers, 120)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(made_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server, whose store the tests of this file share."""
    store = Path(shutil.copyfile(made_store, tmp_path_factory.mktemp("server") / "mlflow.db"))
    server = Server(store, free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Return the seconds of the slowest step of a run that has nothing to do with any store."""
    return train(tmp_path_factory.mktemp("baseline") / "run", "tracking=offline").slowest


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def train(
    folder: Path,
    *more: str,
    steps: int = STEPS,
    fault: Callable[[Path], None] | None = None,
) -> Trained:
    """Run the command, which waits after its 200th step until the fault has begun.

    The fault is given the folder of runs, in which the uploader has begun its work or will.
    """
    log, result, gate = folder / "log", folder / "facts.json", folder / "gate"
    folder.mkdir(exist_ok=True)
    wanted = [*uploads.SHORT, "epochs=10000", f"max_steps={steps}", "evaluate.every=20"]
    wanted += [f"output={folder}/runs", *more]
    arguments = (wanted, str(result), PAUSE, str(gate) if fault else "")
    process = uploads.started(uploads.train, *arguments, log=log)
    try:
        if fault:
            fault(folder / "runs")
    finally:
        gate.touch()
    done = uploads.finished(process, log)
    (run,) = (folder / "runs").iterdir()
    return Trained(run, done, json.loads(result.read_text()))


def check(trained: Trained, baseline: float) -> None:
    """Hold a run with a fault to what is promised of it."""
    assert trained.done.status == 0, trained.done
    assert trained.done.err == ""
    assert len(trained.facts["times"]) == STEPS
    print(f"slowest step {trained.slowest:.4f} s, without a store {baseline:.4f} s")
    print(f"from the last step to the end {trained.facts['after']:.2f} s")
    assert trained.slowest <= baseline + 0.05


def has_all(store: Path, run: Path) -> bool:
    """Say whether a store has every number of a run's journal once, in one run that has ended."""
    own = journal.start_of(run)["run_id"]
    found = uploads.select(
        store,
        "select status from runs join tags using (run_uuid) where "
        f"tags.key = 'experiments.run_id' and tags.value = '{own}'",
    )
    metrics = ("train/loss", "val/loss", "norm/params", "test/loss")
    return found == [("FINISHED",)] and all(
        uploads.rows(store, run, metric=m) == uploads.expected(run, metric=m) for m in metrics
    )


def test_an_absent_server_is_waited_for_5_seconds_and_nothing_is_lost(
    tmp_path: Path, store: Path, rounds: Callable[[int, int], int]
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"

    def fault(runs: Path) -> None:
        assert uploads.eventually(lambda: any(runs.glob("*/uploader.log")))

    with uploads.reaped(tmp_path):
        trained = train(
            tmp_path / "run", f"tracking.uri={uri}", steps=rounds(STEPS, 400), fault=fault
        )
    assert (trained.done.status, trained.done.err) == (0, "")
    assert WAIT <= trained.facts["after"] <= WAIT + SLACK
    lines = trained.done.out.splitlines()
    (told,) = (line for line in lines if "MLflow has not taken everything" in line)
    assert "Connection refused" in told
    (command,) = (line for line in lines if " sync " in line)
    assert command.split()[-3:] == [str(trained.run), "--uri", uri]

    # What the line says to type, with another store.
    done = uploads.sync(trained.run, "--uri", f"sqlite:///{store}", log=tmp_path / "log")
    assert done.status == 0
    assert has_all(store, trained.run)


@pytest.mark.whole
@pytest.mark.parametrize("mode", ["hang", "fail", "deaf"])
def test_a_server_that_fails_for_good(
    tmp_path: Path, server: Server, baseline: float, mode: str
) -> None:
    with proxy(server.port) as between:
        with uploads.reaped(tmp_path):
            trained = train(
                tmp_path / "run", f"tracking.uri={between.uri}", fault=failing(between, mode)
            )
        check(trained, baseline)
        assert trained.facts["after"] <= WAIT + SLACK
        assert "MLflow has not taken everything" in trained.done.out
        between.mode = "pass"
        between.released.set()
        done = uploads.sync(trained.run, "--uri", between.uri, log=tmp_path / "log")
    assert (done.status, done.err) == (0, "")
    assert has_all(server.store, trained.run)


@pytest.mark.whole
@pytest.mark.parametrize("mode", ["fail", "deaf", "slow"])
def test_a_server_that_is_well_again_in_time(
    tmp_path: Path, server: Server, baseline: float, mode: str
) -> None:
    seconds = None if mode == "slow" else 3.0
    with proxy(server.port) as between, uploads.reaped(tmp_path):
        fault = failing(between, mode, seconds)
        trained = train(tmp_path / "run", f"tracking.uri={between.uri}", fault=fault)
        check(trained, baseline)
    assert "MLflow has not taken everything" not in trained.done.out
    assert has_all(server.store, trained.run)


@pytest.mark.whole
def test_a_server_that_is_killed_and_started_again_later(
    tmp_path: Path, server: Server, baseline: float
) -> None:
    def fault(runs: Path) -> None:
        assert uploads.eventually(lambda: has_begun(server.store, runs), BEGUN)
        server.kill()

    with uploads.reaped(tmp_path):
        trained = train(tmp_path / "run", f"tracking.uri={server.uri}", fault=fault)
    check(trained, baseline)
    assert trained.facts["after"] <= WAIT + SLACK
    assert not has_all(server.store, trained.run)
    server.start()
    done = uploads.sync(trained.run, "--uri", server.uri, log=tmp_path / "log")
    assert (done.status, done.err) == (0, "")
    assert has_all(server.store, trained.run)


@pytest.mark.whole
def test_a_server_that_is_killed_and_started_again_at_once(
    tmp_path: Path, server: Server, baseline: float
) -> None:
    restarts: list[threading.Thread] = []

    def fault(runs: Path) -> None:
        assert uploads.eventually(lambda: has_begun(server.store, runs), BEGUN)
        server.kill()
        restarts.append(threading.Thread(target=server.start))
        restarts[0].start()

    with uploads.reaped(tmp_path):
        trained = train(tmp_path / "run", f"tracking.uri={server.uri}", fault=fault)
        check(trained, baseline)
        restarts[0].join()
        # No command is typed: what the run started goes on without it.
        assert uploads.eventually(lambda: has_all(server.store, trained.run))
        assert uploads.eventually(lambda: not uploads.uploaders(tmp_path))


@pytest.mark.whole
def test_a_password_for_a_server_is_kept_nowhere(tmp_path: Path, server: Server) -> None:
    password = "-".join(["canary", "password"])
    run, uri = trained_offline(tmp_path), server.uri.replace("://", f"://user:{password}@")
    done = uploads.sync(run, "--uri", uri, log=tmp_path / "log")
    assert (done.status, done.err) == (0, "")
    assert has_all(server.store, run)
    assert uploads.select(server.store, "select count(*) from logged_models") == [(1,)]
    for folder in (tmp_path, server.store.parent):
        for path in folder.rglob("*"):
            assert not path.is_file() or password.encode() not in path.read_bytes(), path


def trained_offline(folder: Path) -> Path:
    """Return a short run that is in its folder alone, with a model to log."""
    wanted = ["tracking=offline", "tracking.model=true"]
    return train(folder / "trained", *wanted, steps=400).run


def failing(between: Proxy, mode: str, seconds: float | None = None) -> Callable[[Path], None]:
    """Return a fault: once the uploader works the server goes wrong, for good or for a while."""

    def fault(_: Path) -> None:
        assert uploads.eventually(lambda: between.requests > 10, BEGUN)
        between.mode = mode
        if seconds is not None:
            threading.Timer(seconds, lambda: setattr(between, "mode", "pass")).start()

    return fault


def has_begun(store: Path, runs: Path) -> bool:
    """Say whether a store has numbers of the run in a folder."""
    found = list(runs.glob(f"*/{journal.FILE}"))
    begun = bool(found) and found[0].stat().st_size > 0
    return begun and bool(uploads.rows(store, found[0].parent))
