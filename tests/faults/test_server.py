"""A tracking server that is absent, dies, hangs, fails or is slow costs a run nothing but 5 s."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uploads
from proxy import proxy

from experiments import journal

pytestmark = pytest.mark.process

WAIT = 5.0  # seconds that a command waits for an upload that is stuck: the default
# Beside the wait, a run evaluates, writes its files and checks that the uploader still runs.
SLACK = 2.0
STEPS = 4184
PAUSE = 0.002  # seconds after each step, so that there is time for a fault


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
    during: Callable[[], None] | None = None,
) -> Trained:
    """Run the command; `during` is called beside it."""
    log, result = folder / "log", folder / "facts.json"
    folder.mkdir(exist_ok=True)
    wanted = [*uploads.SHORT, "epochs=10000", f"max_steps={steps}", "evaluate.every=20"]
    wanted += [f"output={folder}/runs", *more]
    process = uploads.started(uploads.train, wanted, str(result), PAUSE, log=log)
    beside = threading.Thread(target=during) if during else None
    if beside:
        beside.start()
    done = uploads.finished(process, log)
    if beside:
        beside.join()
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
    tmp_path: Path, store: Path
) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with uploads.reaped(tmp_path):
        trained = train(tmp_path / "run", f"tracking.uri={uri}", steps=400)
    assert trained.done.status == 0
    assert WAIT <= trained.facts["after"] <= WAIT + SLACK
    lines = trained.done.out.splitlines()
    (told,) = (line for line in lines if "MLflow has not taken everything" in line)
    assert "Connection refused" in told
    (command,) = (line for line in lines if " sync " in line)
    assert command.split()[-3:] == [str(trained.run), "--uri", uri]
    assert trained.done.err == ""

    # What the line says to type, which finds no server yet, and then another store.
    absent = uploads.sync(trained.run, "--uri", uri, log=tmp_path / "log")
    assert absent.status == 1
    assert absent.err == f"error: The store {uri} does not answer: Connection refused.\n"
    done = uploads.sync(trained.run, "--uri", f"sqlite:///{store}", log=tmp_path / "log")
    assert done.status == 0
    assert has_all(store, trained.run)


@pytest.mark.whole
@pytest.mark.parametrize("mode", ["hang", "fail", "deaf"])
def test_a_server_that_fails_for_good(
    tmp_path: Path, server: Server, baseline: float, mode: str
) -> None:
    with proxy(server.port) as between:

        def fail() -> None:
            assert uploads.eventually(lambda: between.requests > 10)
            between.mode = mode

        with uploads.reaped(tmp_path):
            trained = train(tmp_path / "run", f"tracking.uri={between.uri}", during=fail)
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
    with proxy(server.port) as between:

        def fail() -> None:
            assert uploads.eventually(lambda: between.requests > 10)
            between.mode = mode
            time.sleep(3)
            between.mode = "slow" if mode == "slow" else "pass"

        with uploads.reaped(tmp_path):
            trained = train(tmp_path / "run", f"tracking.uri={between.uri}", during=fail)
        check(trained, baseline)
    assert "MLflow has not taken everything" not in trained.done.out
    assert has_all(server.store, trained.run)


@pytest.mark.whole
def test_a_server_that_is_killed_and_started_again_later(
    tmp_path: Path, server: Server, baseline: float
) -> None:
    def fail() -> None:
        assert uploads.eventually(lambda: has_begun(server.store, tmp_path / "run" / "runs"))
        server.kill()

    with uploads.reaped(tmp_path):
        trained = train(tmp_path / "run", f"tracking.uri={server.uri}", during=fail)
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
    def fail() -> None:
        assert uploads.eventually(lambda: has_begun(server.store, tmp_path / "run" / "runs"))
        server.kill()
        server.start()

    with uploads.reaped(tmp_path):
        trained = train(tmp_path / "run", f"tracking.uri={server.uri}", during=fail)
        check(trained, baseline)
        # No command is typed: what the run started goes on without it.
        assert uploads.eventually(lambda: has_all(server.store, trained.run))
        assert uploads.eventually(lambda: not uploads.uploaders(tmp_path))


def has_begun(store: Path, runs: Path) -> bool:
    """Say whether a store has numbers of the run in a folder."""
    found = list(runs.glob(f"*/{journal.FILE}"))
    return bool(found) and bool(uploads.rows(store, found[0]))
