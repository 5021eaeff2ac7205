"""Names in any script: they come back as they were, or are refused with status 2."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from composed import compose
from omegaconf import OmegaConf
from refusals import ROOT, judged, process, refusal, some

from experiments import Model
from experiments.cli import main
from experiments.errors import ConfigError
from experiments.plugin import registry
from experiments.runs import journal

PLUGINS = '''
import torch
from torch.utils.data import TensorDataset
from experiments import Dataset, DataSpec, Model, Network, Splits, Task, register

CLASSES = ("größe", "猫", "🙂", "$x_", "a b", "a\\\\nb", "100 %", "{x}", "'")

@register("größe")
class Größe(Model):
    """A linear model with a name of its own."""

    wort: str = "ä"

    def build(self, spec):
        shape = (spec.features, spec.outputs)
        return Network({"gewichte_ü": torch.zeros(shape, requires_grad=True)}, self.forward)

    def forward(self, params, inputs):
        return inputs.flatten(1) @ params["gewichte_ü"]

@register("数据")
class Daten(Dataset):
    """Pictures of classes with names of their own."""

    def load(self):
        images = torch.arange(90 * 16).reshape(90, 1, 4, 4).remainder(255).to(torch.uint8)
        items = TensorDataset(images, torch.arange(90) % 9)
        spec = DataSpec(
            input_shape=(1, 4, 4), task=Task.classification, classes=CLASSES, mean=0.0, std=255.0
        )
        return Splits(train=items, val=items, test=items, spec=spec, source="наука")
'''
LOAD = """
import sys
from pathlib import Path
import torch
from experiments.plugin import discovery
from experiments.runs import predictor
discovery.discover(Path(sys.argv[1]), [sys.argv[2]])
print(tuple(predictor.predictor(Path(sys.argv[3]))(torch.zeros(2, 1, 4, 4)).shape))
"""
NAME = "größe 猫 🙂 é e\u0301 عربي"
LOCALES = [
    {},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with plugins, whose names are in several scripts."""
    (tmp_path / "plügins 目录").mkdir()
    (tmp_path / "plügins 目录" / "größe.py").write_text(PLUGINS, encoding="utf-8")
    return tmp_path


def _train(
    place: Path, *more: str, variables: dict[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    return process(
        "model='größe'", "dataset='数据'", f"plugin_path=['{place / 'plügins 目录'}']",
        f"output='{place / 'läufe 运行'}'", f"tracking.name='{NAME}'",
        "max_steps=2", "device=cpu", *more, variables=variables,
    )  # fmt: skip


@pytest.mark.whole
@pytest.mark.parametrize("variables", LOCALES, ids=["UTF-8", "C", "ASCII"])
@pytest.mark.process
def test_a_run_with_names_in_any_script_comes_back(place: Path, variables: dict[str, str]) -> None:
    store = place / "läden" / "größe.db"
    wanted = ["tracking.experiment='Versuche 实验'", f"tracking.uri='sqlite:///{store}'"]
    done = _train(place, *wanted, variables=variables)
    assert done.returncode == 0, done.stderr
    assert b"not taken everything" not in done.stdout
    (folder,) = (place / "läufe 运行").iterdir()
    events = [event for event, _ in journal.read(folder / journal.FILE)]
    assert (events[0]["name"], events[0]["experiment"]) == (NAME, "Versuche 实验")
    assert events[0]["config"]["model"] == {"plugin": "model/größe", "wort": "ä"}
    assert events[-1] | {"time": 0} == {"event": "end", "status": "FINISHED", "time": 0}
    saved = OmegaConf.load(folder / "config.yaml")
    assert (saved.tracking.name, saved.model.plugin) == (NAME, "model/größe")
    assert "gewichte_ü" in (folder / "tensors.txt").read_text(encoding="utf-8")
    assert {"confusion_matrix.png", "samples.png"} <= {
        path.name for path in (folder / "figures").iterdir()
    }
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, str(ROOT), str(place / "plügins 目录"),
         str(folder / "checkpoints" / "best.safetensors")],
        capture_output=True, text=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip
    assert loaded.stdout.strip() == "(2, 9)", loaded.stderr


@pytest.mark.whole
@pytest.mark.process
def test_without_any_encoding_for_them_they_are_refused(place: Path) -> None:
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _train(place, variables=bare)
    assert b"no text" in judged(done.returncode, done.stderr.decode()).encode()
    assert {path.name for path in place.iterdir()} == {"plügins 目录"}


REFUSED = [
    ("tracking.name='a\nb'", "tracking.name"),
    ("tracking.name='a\tb'", "tracking.name"),
    ("tracking.name='a\x1b[31mb'", "tracking.name"),
    ("tracking.name='a\0b'", "tracking.name"),
    ("tracking.name='a\ud800b'", "tracking.name"),
    ("tracking.name=' '", "tracking.name"),
    (f"tracking.name={'x' * 251}", "tracking.name"),
    ("tracking.experiment='a\nb'", "tracking.experiment"),
    (f"tracking.experiment='{'猫' * 100}'", "tracking.experiment"),
    ("model=a\nb", "model"),
    ("model='a\nb'", "model"),
    ("model='größe'", "model=größe"),
    ("größe=1", "größe"),
    ("output='{place}/a\0b'", "output"),
    ("output='{place}/a\udc80b'", "output"),
    ("output='{place}/" + "x" * 251 + "'", "output"),
    ("output='{place}/" + "猫" * 90 + "'", "output"),
    ("plugin_path=['{place}/a\0b']", "plugin_path"),
    ("plugin_path=['{place}/a\nb']", "plugin_path"),
    ("plugin_path=[" + "x" * 5000 + "]", "plugin_path"),
    ("plugin_path=['~nobody_of_this_name/x']", "plugin_path"),
    ("plugin_path={{a:1}}", "plugin_path"),
    ("--config-name=a\nb", "a b"),
    ("--config-dir=a\0b", "a"),
]


@pytest.mark.parametrize(("setting", "key"), some(REFUSED, 9))
def test_what_is_no_name_is_refused(
    setting: str,
    key: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = setting if setting.startswith("-") else setting.replace("{place}", str(tmp_path))
    given = given.replace("{{", "{").replace("}}", "}")
    output = [] if setting.startswith("output") else [f"output={tmp_path / 'out'}"]
    line = refusal([given, "tracking=offline", *output], capsys, monkeypatch)
    assert key in line
    assert line[:-1].isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", some(["a\nb", " a ", "-", "~", "#x", "${x", "a'b", "😀"], 8))
def test_a_folder_of_any_name_holds_a_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    written = name.replace("'", "\\'").replace("${", "\\${")
    settings = [f"output='{tmp_path}/{written}'", "tracking=offline", "max_steps=1"]
    status = main.command(ROOT, [*settings, "tracking.figures=false", "tracking.model=false"])
    assert status in (0, 2)
    made = [path.name for path in tmp_path.iterdir()]
    assert made == ([name] if status == 0 else [])


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a.b", "a b", "-a", "a\n", "a\0", "\ud800", "a" * 101]
)
@pytest.mark.usefixtures("own_registry")
def test_a_plugins_name_is_a_plain_one(name: str) -> None:
    with pytest.raises(ConfigError, match="plugin's name") as caught:

        @registry.register(name)
        class _Odd(Model):
            """A model that cannot be named."""

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("names", [["größe", "模型"], ["a-b", "a_b"], ["1", "Ω"]])
@pytest.mark.usefixtures("own_registry")
def test_a_plugins_name_may_be_in_any_script(names: Sequence[str]) -> None:
    for name in names:

        @registry.register(name)
        class _Named(Model):
            """A model with a name."""

        assert registry.lookup("model", name) is _Named


def test_a_name_is_the_same_in_the_configuration_and_in_json() -> None:
    experiment = compose([f"tracking.name='{NAME}'"])
    assert experiment.tracking.name == NAME
    assert json.loads(json.dumps(NAME)) == NAME
