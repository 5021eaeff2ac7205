"""A whole run with its upload opens no connection but to its tracking server."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import uploads

pytestmark = pytest.mark.process

# Python imports this by itself, in the trainer and in the uploader that it starts.
HOOK = """
import json, os, sys

def record(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        where = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        line = json.dumps([sys.orig_argv[1:3], event, repr(where)])
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(line + "\\n")
    if event == "subprocess.Popen":
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(json.dumps([sys.orig_argv[1:3], event, repr(arguments[1])[:200]]) + "\\n")

sys.addaudithook(record)
"""


def run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run the command as a person would, without the variables that turn telemetry off."""
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HOOK)
    off = ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")
    env = {
        name: value
        for name, value in os.environ.items()
        # MLflow sends nothing where it believes to be tested.
        if name not in (*off, "CI") and not name.startswith("PYTEST")
    }
    env |= {"PYTHONPATH": str(folder / "hook"), "CONNECTIONS": str(folder / "connections")}
    command = [sys.executable, "run.py", "device=cpu", "epochs=1", f"output={folder}/runs"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=uploads.ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (folder / "connections").read_text().splitlines()
    return done, [json.loads(line) for line in lines]


def connections(events: Sequence[Sequence[str]]) -> list[str]:
    """Return where processes connected to, but for the sockets of this machine's own files."""
    return [where for _, event, where in events if event != "subprocess.Popen"]


@pytest.mark.whole
def test_a_run_with_a_store_of_its_own_connects_to_nothing(tmp_path: Path, store: Path) -> None:
    done, events = run(tmp_path, f"tracking.uri=sqlite:///{store}", "tracking.wait=60")
    assert done.returncode == 0, done.stderr
    assert uploads.select(store, "select status from runs") == [("FINISHED",)]
    assert uploads.select(store, "select count(*) from logged_models") == [(1,)]
    # The hook was there in both processes.
    assert any("experiments.tracking.uploader" in where for _, event, where in events)
    assert connections(events) == []


@pytest.mark.whole
def test_a_run_with_a_server_connects_to_it_alone(tmp_path: Path) -> None:
    with uploads.reaped(tmp_path):
        done, events = run(tmp_path, "tracking.uri=http://127.0.0.1:9", "tracking.wait=2")
    assert done.returncode == 0, done.stderr
    found = connections(events)
    assert found
    assert all("127.0.0.1" in where for where in found)
