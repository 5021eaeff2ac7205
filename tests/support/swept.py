"""Small sweeps that run in this process."""

import json
from collections.abc import Sequence
from pathlib import Path

import scenes
from composed import ROOT

from experiments.cli import main

MLP = ["dataset=synthetic", "dataset.items=120", "dataset.features=4", "model=mlp",
       "model.hidden=[6]", "optimizer=adam", "device.precision=fp64"]  # fmt: skip
TOGETHER = ["hydra.launcher.probe=false"]
FOUR = ["optimizer.lr=0.01,0.1", "seed=1,2"]


def sweep(tmp_path: Path, *wanted: str, status: int = 0, quick: Sequence[str] = MLP) -> Path:
    """Run a sweep in this process, and return the folder of the last one."""
    launcher = [] if "hydra/launcher=basic" in wanted else TOGETHER
    found = main.command(
        ROOT, ["-m", *scenes.QUICK, *quick, *launcher, *wanted, f"output={tmp_path}"]
    )
    assert found == status
    return max(tmp_path.glob("*-sweep"))


def result(folder: Path, job: int) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / str(job) / "result.json").read_text())
    return found


def plugin(tmp_path: Path, name: str, code: str) -> str:
    folder = tmp_path / "plugins"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    return f"plugin_path=[{folder}]"


FAILING = '''
from pathlib import Path
from torch import Tensor, nn
from experiments import DataSpec, Model, register

@register("failing")
class Failing(Model):
    """Fails where its width is 13."""

    width: int = 4

    def build(self, spec: DataSpec) -> nn.Module:
        if self.width == 13 and not Path(__file__).with_name("mended").exists():
            raise ZeroDivisionError("on purpose")
        return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, spec.outputs))
'''
