"""Where a run comes from: the patch makes its code again."""

import subprocess
from pathlib import Path

import pytest

from experiments.runs import provenance


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout with one rule and one commit."""
    folder = tmp_path / "checkout"
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "old.py").write_text("lr = 1\n")
    git(tmp_path, "init", "--quiet", str(folder))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_clean_checkout_has_no_patch(checkout: Path) -> None:
    assert provenance.patch(checkout) == ""
    assert provenance.tags(checkout, [])["git.dirty"] == "false"


def test_the_patch_holds_changed_and_new_code_and_applies(checkout: Path, tmp_path: Path) -> None:
    (checkout / "plugins" / "old.py").write_text("lr = 2\n")
    (checkout / "plugins" / "new.py").write_text("eps = 3\n")
    (checkout / "data.bin").write_bytes(bytes(1000))
    (tmp_path / "code.patch").write_text(provenance.patch(checkout))
    assert "data.bin" not in (tmp_path / "code.patch").read_text()
    assert provenance.tags(checkout, [])["git.dirty"] == "true"
    git(tmp_path, "clone", "--quiet", str(checkout), str(tmp_path / "again"))
    git(tmp_path / "again", "apply", str(tmp_path / "code.patch"))
    for name in ("old.py", "new.py"):
        again = tmp_path / "again" / "plugins" / name
        assert again.read_text() == (checkout / "plugins" / name).read_text()


def test_outside_git_there_is_no_patch_and_no_commit(tmp_path: Path) -> None:
    assert provenance.patch(tmp_path) == ""
    assert "mlflow.source.git.commit" not in provenance.tags(tmp_path, [])


def test_a_command_is_quoted_for_the_shell() -> None:
    assert provenance.command(["transform=[a,b]"]) == "python run.py 'transform=[a,b]'"
