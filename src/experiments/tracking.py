"""The trainer's side of MLflow: it starts the uploader, waits for it, and says where to look.

MLflow itself is imported by the uploader alone, which is a process of its own.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.settings import Tracking

UPLOAD = "upload.json"  # in a run's folder: how far its journal has come, and where to
LOG = "uploader.log"
# MLflow's page opens on its view for language models unless the address says otherwise.
VIEW = "?workflowType=machine_learning"


def store(tracking: Tracking, root: Path) -> str:
    """Return the address of MLflow's store: the setting, else the environment's, else sqlite."""
    default = f"sqlite:///{root / 'mlflow.db'}"
    return tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or default


class Uploader:
    """The process that feeds MLflow from the journals in a folder while this one trains."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder, self._uri = folder, uri
        # Its standard input is a pipe that closes when this process ends, in whichever way; a
        # session of its own keeps Ctrl-C from it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "experiments.uploader", "--follow", str(folder), uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finish(self, seconds: float) -> bool:
        """Say that nothing more comes, and wait; return whether all was uploaded."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            return False

    def closing_lines(self, *, complete: bool) -> list[str]:
        """Return what to type and what to open to see the run."""
        lines = []
        if not complete:
            again = ["-m", "experiments.uploader", str(self._folder), self._uri]
            lines.append("MLflow has not taken everything yet; nothing is lost. Finish with:")
            lines.append(f"         {shlex.join([_program('python'), *again])}")
        if not self._uri.startswith("http"):
            lines.append(f"review   {server_command(self._uri)}")
        if page := self._page():
            lines.append(f"page     {page}")
        return lines

    def _page(self) -> str | None:
        try:
            upload = json.loads((self._folder / UPLOAD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return page(self._uri, upload)


def page(uri: str, upload: Mapping[str, Any]) -> str:
    """Return the address of a run's page on the server of a store."""
    server = uri if uri.startswith("http") else "http://127.0.0.1:5000"
    where = f"experiments/{upload['experiment_id']}/runs/{upload['mlflow_run_id']}"
    return f"{server}/#/{where}{VIEW}"


def server_command(uri: str) -> str:
    """Return the command that serves a store's pages on this machine."""
    command = [_program("mlflow"), "server", "--backend-store-uri", uri, "--port", "5000"]
    return f"DO_NOT_TRACK=true {shlex.join(command)}"


def _program(name: str) -> str:
    """Return a program of this environment as it is called from the working directory."""
    path = Path(sys.executable).with_name(name)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
