"""What every test of faults shares: the mark, and how much of the list a run takes."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scenes
import uploads

from experiments.process import signals

HERE = Path(__file__).parent


def _is_whole(config: pytest.Config) -> bool:
    return "faults" in config.getoption("markexpr")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and keep those of the whole list for `-m faults`.

    Tests of other folders may be of the list too.
    """
    own = [
        item for item in items if item.path.is_relative_to(HERE) or item.get_closest_marker("whole")
    ]
    for item in own:
        item.add_marker("faults")
    if _is_whole(config):
        return
    left_out = [item for item in own if item.get_closest_marker("whole")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """Return how often to try: the first number in the whole list, the second in other runs."""
    whole = _is_whole(request.config)
    return lambda full, few: full if whole else few


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a store of MLflow's once, for tests to copy."""
    folder = tmp_path_factory.mktemp("made")
    process = uploads.started(
        uploads.open_store, f"sqlite:///{folder}/empty.db", log=folder / "log"
    )
    assert uploads.finished(process, folder / "log").status == 0
    return folder / "empty.db"


@pytest.fixture
def store(made_store: Path, tmp_path: Path) -> Path:
    """Return a store in a folder of its own."""
    (tmp_path / "store").mkdir()
    return Path(shutil.copyfile(made_store, tmp_path / "store" / "mlflow.db"))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a file system in memory with such options; root alone may."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mount{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("this place lets not even root mount a file system")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Take the signals that end a process as a command does."""
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    signals.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the tests of this file share."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def stopped(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave a run that is interrupted after its fifth step, of which each test has a copy."""
    made = kept / "stopped"
    if not made.exists():
        with monkeypatch.context() as patched:
            scenes.interrupted_at(patched, 5)
            assert scenes.train(made, ["model=mlp", "optimizer=adam"]) == "interrupted"
    return Path(shutil.copytree(made, tmp_path / "runs" / "stopped"))
