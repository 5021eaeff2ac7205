"""Writing where there is no room: an OSError, the checkpoint before loads, no orphan stays."""

import errno
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from experiments import tensorfile
from experiments.errors import DataError

Rounds = Callable[[int, int], int]
OLD, NEW = {"a": torch.zeros(20_000)}, {"a": torch.ones(20_000)}
PAGE = 4096


@contextmanager
def longest(size: int) -> Iterator[None]:
    """Let files grow to a size and no further: what would is told by a short write, then EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a checkpoint of step 1."""
    path = tmp_path / "folder" / "a.safetensors"
    tensorfile.save(path, OLD, {"step": 1})
    return path


def is_old(path: Path) -> bool:
    """Say whether the checkpoint of step 1 loads, and nothing is beside it."""
    tensors, facts = tensorfile.load(path)
    alone = [entry.name for entry in path.parent.iterdir()] == [path.name]
    return alone and facts == {"step": 1} and tensors["a"].equal(OLD["a"])


def limits(size: int, rounds: Rounds) -> list[int]:
    """Return limits up to the byte that a whole file needs."""
    step = -(-size // rounds(40, 10))
    return sorted({*range(0, size, step), 1, 7, 8, 9, 4095, 4096, 4097, size - 1})


def test_files_that_may_not_grow_leave_the_checkpoint_before(path: Path, rounds: Rounds) -> None:
    size = path.stat().st_size
    for limit in limits(size, rounds):
        with longest(limit), pytest.raises(OSError, match="File too large") as caught:
            tensorfile.save(path, NEW, {"step": 2})
        assert caught.value.errno == errno.EFBIG
        assert is_old(path), limit
    with longest(size):
        tensorfile.save(path, NEW, {"step": 2})
    assert tensorfile.load(path)[1] == {"step": 2}


def test_a_first_checkpoint_without_room_leaves_an_empty_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.safetensors"
    for limit in (0, 8, 4096, 50_000):
        with longest(limit), pytest.raises(OSError, match="File too large"):
            tensorfile.save(path, NEW, {"step": 2})
        assert not list(path.parent.iterdir())
        with pytest.raises(DataError):
            tensorfile.load(path)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 64 pages, where one may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={64 * PAGE}", "tmpfs", str(place)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.whole
@pytest.mark.process
def test_a_full_file_system_leaves_the_checkpoint_before(small: Path) -> None:
    path, filler = small / "folder" / "a.safetensors", small / "filler"
    tensorfile.save(path, OLD, {"step": 1})
    full = 0
    for pages in range(60, 0, -1):
        filler.write_bytes(b"")  # give the room of the last round free
        try:
            filler.write_bytes(bytes(pages * PAGE))
        except OSError:
            filler.unlink()
            continue
        try:
            tensorfile.save(path, NEW, {"step": 2})
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert is_old(path), pages
            full += 1
        else:
            break
    assert full >= 18  # a file has 20 pages
    assert tensorfile.load(path)[1] == {"step": 2}
    filler.unlink()
    tensorfile.save(path, OLD, {"step": 1})
    assert is_old(path)


@pytest.mark.whole
def test_a_file_system_that_may_only_be_read_is_an_error(small: Path) -> None:
    path = small / "folder" / "a.safetensors"
    tensorfile.save(path, OLD, {"step": 1})
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        tensorfile.save(path, NEW, {"step": 2})
    assert is_old(path)
