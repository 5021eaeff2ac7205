"""The command line: what it refuses and how, and what a run and a sweep leave behind."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import pytest
import torch
from commands import refused
from composed import ROOT
from omegaconf import OmegaConf
from programs import Ended, Running

from experiments.cli import main

BAD_PLUGIN = '''
from experiments import Model, Network, register
import torch

@register("failing")
class Failing(Model):
    """A model that fails while it trains."""

    def build(self, spec):
        weights = torch.zeros(spec.features, spec.outputs, requires_grad=True)
        return Network({"weights": weights}, self.forward)

    def forward(self, params, inputs):
        if len(inputs) > 2 and torch.is_grad_enabled():
            raise ZeroDivisionError("on purpose")
        return inputs.flatten(1) @ params["weights"]
'''


def idx(path: Path, magic: bytes, sizes: list[int], values: bytes) -> None:
    head = magic + b"".join(size.to_bytes(4, "big") for size in sizes)
    path.write_bytes(gzip.compress(head + values))


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """Make a small data set in the files of Fashion-MNIST."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 40), ("t10k", 10)):
        pixels = bytes(range(256)) * (count * 784 // 256 + 1)
        images, labels = f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"
        idx(raw / images, b"\0\0\x08\x03", [count, 28, 28], pixels[: count * 784])
        idx(raw / labels, b"\0\0\x08\x01", [count], bytes(k % 10 for k in range(count)))
    return tmp_path


@pytest.fixture
def run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """Return the function that runs the program as a process, which keeps its runs in `tmp_path`.

    It is forked from a server that has imported the program, unless it is started as a user does.
    """
    log = tmp_path_factory.mktemp("log") / "log"

    def run(*arguments: str, start: Callable[..., Running] = programs.forked) -> Ended:
        return start(*arguments, f"output={tmp_path}", "device=cpu", log=log).wait()

    return run


BAD = [
    ("model=lineer", "model=lineer; did you mean 'linear'"),
    ("optimizer.lrr=1", "optimizer.lrr; did you mean 'lr'"),
    ("+optimizer.lrr=1", "optimizer.lrr; did you mean 'lr'"),
    ("optimzer=adam", "did you mean 'optimizer'"),
    ("optimizer.lr=fast", "optimizer.lr=fast"),
    ("optimizer.lr=-1", "optimizer.lr=-1.0: must be >= 0"),
    ("optimizer.lr=nan", "optimizer.lr=nan"),
    ("batch_size=0", "batch_size=0: must be >= 1"),
    ("epochs=1.5", "epochs=1.5"),
    ("seed=null", "seed"),
    ("model=null", "model=null: name the model to use"),
    ("model=mlp model.hidden=[-1]", "model.hidden=[-1]: every item must be >= 1"),
    ("transform=[clip_nrm]", "did you mean 'clip_norm'"),
    ("transform=[clip_norm] transform.clip_norm.max_norm=0", "max_norm=0.0: must be > 0"),
    ("transform=[weight_decay] transform.weight_decay.skip=[bais]", "did you mean 'bias'"),
    ("+schedule@schedules.beta1=cosine", "schedules.beta1"),
    ("optimizer=adam +schedule@schedules.beta3=cosine", "did you mean 'beta"),
    ("loss=mse", "loss=mse does not fit dataset=digits"),
    ("metric=[mae]", "metric=mae does not fit dataset=digits"),
    ("monitor=val/acuracy", "did you mean 'val/accuracy'"),
    ("model=cnn dataset=synthetic", "model=cnn does not fit dataset=synthetic"),
    ("optimizer.lr=0.1,0.2", "add -m"),
    ("-m on_error=stop optimizer.lr=0.1,-1", "optimizer.lr=-1"),
    ("-m optimizer.lr=-2,-1", "optimizer.lr=-2.0"),
    ("-m on_error=stop model=linear,mpl", "did you mean 'mlp'"),
    ("plugin_path=[/absent/folder]", "is no folder"),
    ("nonsense", "'nonsense'"),
    ("--experimental-rerun x", "not supported"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_wrong_input_is_one_line_status_2_and_no_folder(
    arguments: str,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "runs"
    status, line = refused([*arguments.split(), f"output={output}"], capsys, monkeypatch)
    assert (status, text in line) == (2, True), line
    assert not output.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, line = refused(["device=cuda"], capsys, monkeypatch)
    assert (status, "device=cuda is not there" in line) == (2, True)


@pytest.mark.parametrize("damage", ["absent", "truncated", "magic", "lengths"])
def test_damaged_data_is_status_4_and_names_the_file(
    damage: str,
    fashion: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = fashion / "FashionMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    if damage == "absent":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "magic":
        idx(file, b"\0\0\x0d\x01", [40], bytes(40))
    else:
        idx(file, b"\0\0\x08\x01", [39], bytes(39))
    arguments = ["dataset=fashion_mnist", f"dataset.root={fashion}", "tracking=offline"]
    status, line = refused(arguments, capsys, monkeypatch)
    assert status == 4
    assert "train-labels-idx1-ubyte" in line


@pytest.mark.process
def test_a_run_leaves_everything_in_its_folder(tmp_path: Path, run: Callable[..., Ended]) -> None:
    done = run(
        "tracking=offline", "epochs=2", "transform=[clip_norm,weight_decay]", "model=mlp",
        "optimizer=adam", "+schedule@schedules.beta1=polynomial", start=programs.started,
    )  # fmt: skip
    assert done.status == 0, done.err
    (folder,) = tmp_path.iterdir()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names >= {
        "journal.jsonl", "config.yaml", "tensors.txt", "result.json", "run.log",
        "checkpoints/best.safetensors", "checkpoints/last.safetensors", "figures/loss.png",
        "figures/accuracy.png", "figures/confusion_matrix.png", "figures/samples.png",
        ".hydra/overrides.yaml",
    }  # fmt: skip
    saved: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert saved["model"]["plugin"] == "model/mlp"
    assert saved["schedules"]["beta1"]["plugin"] == "schedule/polynomial"
    assert list(saved["transform"]) == ["clip_norm", "weight_decay"]
    assert saved["transform"]["clip_norm"]["plugin"] == "transform/clip_norm"
    result = json.loads((folder / "result.json").read_text())
    assert result["reason"] == "epochs=2"
    assert result["metrics"]["best/val/accuracy"] > 0.8
    assert "weights1" in done.out


@pytest.mark.process
def test_a_sweep_has_a_leaderboard_and_outlives_failed_and_diverged_jobs(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, run: Callable[..., Ended]
) -> None:
    plugins = tmp_path_factory.mktemp("plugins")
    (plugins / "failing.py").write_text(BAD_PLUGIN)
    done = run(
        "-m", "tracking=offline", "dataset=synthetic", "epochs=2", "dataset.task=regression",
        "model=linear,failing", "optimizer.lr=0.01,1e4", f"plugin_path=[{plugins}]",
    )  # fmt: skip
    assert done.status == 1
    assert "2 of 4 jobs failed" in done.err
    assert "Traceback" not in done.err
    assert "failing.py:" in done.out
    (sweep,) = tmp_path.iterdir()
    rows = list(csv.DictReader((sweep / "leaderboard.csv").read_text().splitlines()))
    statuses = [(row["model"], row["optimizer.lr"], row["status"]) for row in rows]
    assert statuses[0] == ("linear", "0.01", "finished")
    assert ("linear", "10000.0", "diverged") in statuses
    assert [status for *_, status in statuses].count("failed") == 2
    assert (sweep / "figures" / "leaderboard.png").exists()
    assert "ZeroDivisionError" in (next(sweep.glob("*/error.txt"))).read_text()


@pytest.mark.process
def test_a_loss_that_is_not_finite_is_status_3_and_names_the_step(
    run: Callable[..., Ended],
) -> None:
    wanted = ["dataset=synthetic", "dataset.task=regression", "optimizer.lr=1e4"]
    done = run("tracking=offline", *wanted)
    assert done.status == 3
    assert "The loss is" in done.err
    assert "at step" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.process
def test_tracking_none_leaves_nothing(tmp_path: Path, run: Callable[..., Ended]) -> None:
    before = set(ROOT.iterdir())
    done = run("tracking=none", "epochs=1")
    assert done.status == 0, done.err
    assert not list(tmp_path.iterdir())
    assert set(ROOT.iterdir()) == before


@pytest.mark.process
def test_a_traceback_is_shown_on_request() -> None:
    command = [sys.executable, "run.py", "model=lineer"]
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" in done.stderr


def test_a_run_that_is_past_the_end_that_is_asked_for_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ["tracking=offline", "tracking.figures=false", "tracking.model=false"]
    here += [f"output={tmp_path}", "device=cpu", f"hydra.run.dir={tmp_path}/run"]
    assert main.command(ROOT, ["epochs=3", *here]) == 0
    capsys.readouterr()
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    again = ["resume=run", "resume_changed=true", "epochs=2", f"output={tmp_path}"]
    status, line = refused(again, capsys, monkeypatch)
    assert status == 2
    assert "run is at step 120 (epoch 3), which is after the end that epochs=2" in line
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before
