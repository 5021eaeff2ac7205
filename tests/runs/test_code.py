"""The code of a model: its module and what it imports of its own package, and no more."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from composed import ROOT
from torch import Tensor

from experiments import Optimizer, State, register
from experiments.plugin.registry import lookup
from experiments.runs import code

FILES = {
    "__init__.py": "from mine.names import NAME",
    "names.py": "NAME = 'mine'",
    "models/__init__.py": "",
    "models/big.py": "import torch\nfrom . import parts\nfrom ..names import NAME\n",
    "models/parts/__init__.py": "from mine.models.parts.layer import Layer",
    "models/parts/layer.py": "class Layer:\n    def make(self):\n        import mine.late",
    "late.py": "from experiments import register",
    "other.py": "raise RuntimeError('nobody imports this')",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a package and put it on the path."""
    root = tmp_path / "src" / "mine"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(root.parent)
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_a_module_is_copied_with_what_it_imports_of_its_package(
    package: Path, tmp_path: Path
) -> None:
    importlib.import_module("mine.models.big")
    code.copy("mine.models.big", tmp_path / "code")
    found = {str(p.relative_to(tmp_path / "code")) for p in (tmp_path / "code").rglob("*.py")}
    assert found == {f"mine/{name}" for name in FILES if name != "other.py"}
    for name in found:
        assert (tmp_path / "code" / name).read_bytes() == (package.parent / name).read_bytes()


def test_a_file_of_plugin_path_is_copied_under_its_module_s_name(tmp_path: Path) -> None:
    from experiments.plugin import discovery

    file = tmp_path / "own.py"
    file.write_text("import math")
    before = set(sys.modules)
    discovery.import_file(file)
    (name,) = set(sys.modules) - before
    code.copy(name, tmp_path / "code")
    assert [path.name for path in (tmp_path / "code").iterdir()] == [f"{name}.py"]
    del sys.modules[name]


def test_a_bare_folder_of_modules_is_a_package_too(tmp_path: Path) -> None:
    code.copy("plugins.model.linear", tmp_path / "code")
    found = [path.relative_to(tmp_path / "code") for path in (tmp_path / "code").rglob("*.py")]
    assert found == [Path("plugins/model/linear.py")]


def test_plugins_are_kept_once_each_with_what_it_imports(tmp_path: Path) -> None:
    plugins = [lookup("model", "linear"), lookup("augment", "cutout")]
    new = code.collect([*plugins, plugins[0]], tmp_path)
    names = {"model/linear.py", "augment/cutout.py", "augment/_images.py"}
    assert set(new) == {Path("plugins", name) for name in names}
    for name in new:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert code.collect([*plugins, lookup("metric", "f1")], tmp_path) == [
        Path("plugins/metric/f1.py")
    ]


@pytest.mark.usefixtures("own_registry")
def test_a_plugin_that_stands_in_no_module_is_kept_by_its_file_or_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @register("typed")
    class Typed(Optimizer):
        lr: float = 0.1

        def update(
            self, grad: Tensor, param: Tensor, state: State, t: Tensor
        ) -> tuple[Tensor, State]:
            return self.lr * grad, state

    monkeypatch.setattr(Typed, "__module__", "nowhere")
    monkeypatch.setattr(code.registry, "source", lambda _: __file__)
    assert code.collect([Typed], tmp_path) == [Path("test_code.py")]
    monkeypatch.setattr(code.registry, "source", lambda _: "<__main__>")
    monkeypatch.setattr(code.inspect, "getsource", lambda _: "class Typed: ...")
    assert code.collect([Typed], tmp_path) == [Path("optimizer_typed.py")]
    assert (tmp_path / "optimizer_typed.py").read_text() == "class Typed: ..."
