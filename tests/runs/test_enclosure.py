"""What a run's folder holds is a plain file in it, or is not read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.errors import DataError
from experiments.runs import enclosure

OUTSIDE = ["/etc/x", "../x", "a/../../x", "a/./b", "a//b", "", ".", "~/../x/ ..", "..\\x", "C:x",
           "%2e%2e/x", "a/%2F..", "a\nb", "a\0b", None, 3, "x" * 1001]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_path_that_could_lead_out_is_none(tmp_path: Path, name: object) -> None:
    assert not enclosure.is_inside(name)
    if isinstance(name, str):
        with pytest.raises(DataError, match="no path in the run's folder"):
            enclosure.file(tmp_path, name)


@pytest.mark.parametrize("name", ["a", "figures/a b.png", "größe/ü.txt", ".hydra/config.yaml"])
def test_a_path_below_is_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert enclosure.file(tmp_path, name) == path
    assert enclosure.text_of(path, 1) == "x"


def _link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "secret")


def _folder_link(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(path.parent.parent / "elsewhere")


def _hollow(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"x")
        file.truncate(2**40)


@pytest.mark.parametrize("make", [_link, os.mkfifo, os.mkdir, _folder_link, _hollow])
def test_what_is_no_plain_file_is_refused_without_a_wait(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("secret")
    folder = tmp_path / "run"
    (folder / "code").mkdir(parents=True)
    make(folder / "code" / "x")
    with pytest.raises(DataError):
        enclosure.file(folder, "code/x")
    if make is not os.mkdir:
        with pytest.raises(DataError):
            enclosure.entries(folder, "code")
    if make is not _folder_link:
        with pytest.raises(DataError):
            enclosure.text_of(folder / "code" / "x", 100)
