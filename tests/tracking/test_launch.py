"""The trainer's side: which store, whether it can be written to, and what is told at the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.errors import ConfigError, StorageError
from experiments.settings import Tracking
from experiments.tracking import address, launch
from experiments.tracking.launch import Uploader

SLOW = "import time\nfor _ in range(4): time.sleep(.5); print(flush=True)\n"


def test_the_store_is_the_setting_s_the_environment_s_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert launch.store(Tracking(), tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert launch.store(Tracking(), tmp_path) == "http://localhost:5000"
    monkeypatch.chdir(tmp_path)
    own = Tracking(uri="sqlite:///own.db")
    assert launch.store(own, Path("/")) == f"sqlite:///{tmp_path}/own.db"


@pytest.mark.parametrize("uri", ["mlruns", "http://", "http://a b", "sqlite:///", "file:///x"])
def test_what_is_no_store_s_address_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="no store's address"):
        launch.store(Tracking(uri=uri), Path("/"))


def test_a_store_that_can_be_made_or_written_to_is_well(tmp_path: Path) -> None:
    launch.check_writable(f"sqlite:///{tmp_path}/new/folder/mlflow.db")
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
    (tmp_path / "mlflow.db").touch()
    (tmp_path / "mlartifacts").mkdir()
    launch.check_writable(f"sqlite:///{tmp_path}/mlflow.db")
    launch.check_writable("http://127.0.0.1:9")  # a server is asked by the uploader


def test_a_store_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written to"):
        launch.check_writable(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_the_command_that_finishes_an_upload_names_the_store_only_where_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own = f"sqlite:///{tmp_path}/mlflow.db"
    assert address.sync_command(own, Path("runs/one")).endswith(" sync runs/one")
    assert address.sync_command("http://host:1", Path("r")).endswith(" sync r --uri http://host:1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:1")
    assert address.sync_command("http://host:1", Path("r")).endswith(" sync r")


@pytest.mark.process
@pytest.mark.parametrize(
    ("program", "seconds", "complete"),
    [
        ("print('done', flush=True)", 0.0, True),
        ("import time; time.sleep(60)", 1.0, False),  # it does nothing
        ("import sys; sys.exit(1)", 0.0, False),
        # It gets on, though slowly, and is waited for.
        (
            "import time\nfor _ in range(4): time.sleep(.5); print(flush=True)\nprint('done')",
            2.0,
            True,
        ),
    ],
)
def test_the_uploader_is_waited_for_while_it_gets_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    seconds: float,
    complete: bool,
) -> None:
    start = subprocess.Popen

    def other(_: list[str], **options: object) -> object:
        return start([sys.executable, "-c", program], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", other)
    uploader = Uploader(tmp_path, "http://127.0.0.1:9", patience=1.0)
    begun = time.monotonic()
    assert uploader.finish("FINISHED") is complete
    took = time.monotonic() - begun
    assert seconds <= took <= seconds + 2.0
    told = "\n".join(uploader.closing_lines(complete=complete))
    assert (" sync " in told) is not complete
    assert ("goes on for some minutes" in told) is program.endswith("(60)")
    if program.endswith("(60)"):
        os.kill(uploader._process.pid, signal.SIGKILL)
        os.waitpid(uploader._process.pid, 0)
