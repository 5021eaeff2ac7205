"""Six commands leave to the bit what an earlier commit leaves: `REFERENCE=COMMIT pytest ...`.

Nothing is stored: the earlier code runs on the same machine, in a checkout of its own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import scenes
from composed import ROOT

from experiments.runs import journal

REFERENCE = os.environ.get("REFERENCE")
GENERAL = ["device=cpu", "device.threads=1", "tracking=offline", "log_every=7", "batch_size=64"]
# Each is one command, or two of which the second goes on with the run of the first.
COMMANDS: dict[str, list[list[str]]] = {
    "linear": [["epochs=2"]],
    "mlp": [["model=mlp", "optimizer=adam", "schedule=cosine", "epochs=2"]],
    "cnn": [["model=cnn", "model.dropout=0.2", "augment=[random_crop,noise]", "epochs=1"]],
    "resumed": [
        ["model=mlp", "optimizer=momentum", "epochs=1"],
        ["model=mlp", "optimizer=momentum", "epochs=2", "resume=run", "resume_changed=true"],
    ],
    "accumulated": [["model=mlp", "accumulate=3", "transform=[clip_norm]", "epochs=3"]],
    "lanes": [
        ["-m", "model=mlp", "seed=0,1,2", "optimizer=adam", "epochs=2"],
    ],
}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Check the earlier commit out."""
    if REFERENCE is None:
        pytest.skip("REFERENCE names no commit to compare with")
    folder = tmp_path_factory.mktemp("reference") / "checkout"
    subprocess.run(["git", "worktree", "add", "-f", folder, REFERENCE], cwd=ROOT, check=True)
    yield folder
    subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, check=True)


def left(checkout: Path, commands: Sequence[list[str]], output: Path) -> dict[str, Any]:
    """Run commands with the code of a checkout, and return what each run's folder holds."""
    for own in commands:
        kind = "hydra.sweep.dir" if "-m" in own else "hydra.run.dir"
        lanes = ["hydra.launcher.probe=false"] if "-m" in own else []
        subprocess.run(
            [sys.executable, "run.py", *own, *GENERAL, *lanes, f"output={output}"]
            + ([] if any("resume=" in text for text in own) else [f"{kind}={output}/run"]),
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout / "src")},
            check=True,
            capture_output=True,
        )
    found = [path.parent for path in sorted(output.rglob(journal.FILE))]
    return {
        str(folder.relative_to(output)): scenes.outcome(folder)
        for folder in found
        if (folder / "checkpoints").exists()
    }


@pytest.mark.process
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_leaves_what_it_left_before(name: str, earlier: Path, tmp_path: Path) -> None:
    before = left(earlier, COMMANDS[name], tmp_path / "before")
    after = left(ROOT, COMMANDS[name], tmp_path / "after")
    assert len(before) == (3 if name == "lanes" else 1)
    if name == "lanes":
        # The best so far of a last checkpoint may be those of its own step, which is taken again.
        for run in (*before.values(), *after.values()):
            run["last"].pop("best/params")
    assert scenes.same(before, after)
