"""Groups of jobs as the jobs of other launchers: in processes that know nothing of this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import refused
from composed import ROOT

from experiments.runs.folder import Folder

pytestmark = pytest.mark.process
QUICK = [
    "dataset=synthetic",
    "dataset.items=120",
    "dataset.features=4",
    "epochs=2",
    "batch_size=30",
]
LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
}
# Its rule is found anew by each worker, and falls in one of them.
OWN = """
import os
from experiments import Optimizer, number, register

@register("falling")
class Falling(Optimizer):
    \"\"\"Ends its process where its rate is 13.\"\"\"

    lr: float = number(0.1, at_least=0)
    way: str = "none"

    def update(self, grad, param, state, t):
        if self.way == "raise":
            raise ZeroDivisionError("on purpose")
        return self.lr * grad, state
"""


def sweep(output: Path, *wanted: str) -> "subprocess.CompletedProcess[str]":
    """Run a sweep as a user does."""
    general = ["-m", *QUICK, "device=cpu", "device.threads=1", "tracking=offline"]
    command = [sys.executable, "run.py", *general, *wanted, f"output={output}"]
    return subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Return the setting that names a folder with the plugin."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "falling.py").write_text(OWN)
    return f"plugin_path=[{tmp_path / 'plugins'}]"


@pytest.mark.parametrize("launcher", ["joblib", pytest.param("submitit", marks=pytest.mark.whole)])
@pytest.mark.whole
def test_a_launcher_gets_groups_whose_jobs_are_lanes(
    launcher: str, tmp_path: Path, own: str
) -> None:
    wanted = [own, "optimizer=falling", "optimizer.way=none,raise", "seed=range(4)"]
    probe = "+hydra.launcher.probe=false"
    done = sweep(tmp_path / "runs", *LAUNCHERS[launcher], probe, *wanted)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "4 of 8 jobs failed" in done.stderr
    (folder,) = (tmp_path / "runs").glob("*-sweep")
    groups = sorted(folder.glob("groups/*.json"))
    sizes = [len(json.loads(path.read_text())["lanes"]) for path in groups]
    # Joblib has two processes, each of which gets half of what trains together.
    assert sizes == ([2, 2, 2, 2] if launcher == "joblib" else [4, 4])
    jobs = [Folder(folder / str(number)) for number in range(8)]
    assert [job.end for job in jobs] == ["FINISHED"] * 4 + ["FAILED"] * 4
    assert jobs[0].start["parent_id"] == Folder(folder).start["run_id"]
    assert all("on purpose" in job.result.reason for job in jobs[4:])
    assert "8 jobs -> " in done.stdout
    assert Folder(folder).end == "FAILED"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hydra/launcher=joblib hydra.launcher.temp_folder=/tmp/x", "temp_folder=/tmp/x: must be"),
        ("hydra/launcher=submitit_local hydra.launcher.submitit_folder=/tmp/x", "submitit_folder"),
        ("hydra/launcher=submitit_slurm", "it could run code"),
    ],
)
def test_a_launcher_writes_and_runs_nothing_else(
    line: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["-m", *QUICK, *line.split(), "seed=1,2", f"output={tmp_path / 'runs'}"]
    status, told = refused(arguments, capsys, monkeypatch)
    assert status == 2
    assert message in told
    assert not (tmp_path / "runs").exists()
