"""Plugins are found in folders and installed packages, and broken ones are told."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from composed import ROOT

from experiments import ConfigError, lookup
from experiments.plugin import discovery

RULE = '''
from experiments import Optimizer, number, register

@register("{name}")
class Rule(Optimizer):
    """A rule."""

    lr: float = number(0.1, at_least=0)

    def update(self, grad, param, state, t):
        return self.lr * grad, state
'''


@pytest.mark.usefixtures("own_registry")
def test_a_folder_of_plugin_path_is_searched(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "halved.py").write_text(RULE.format(name="halved"))
    (tmp_path / "_private.py").write_text("raise RuntimeError")
    discovery.discover(ROOT, [str(tmp_path)])
    assert lookup("optimizer", "halved").__name__ == "Rule"


@pytest.mark.usefixtures("own_registry")
def test_two_plugins_of_one_name_are_refused_naming_both_files(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RULE.format(name="sgd"))
    with pytest.raises(ConfigError, match=r"sgd\.py and .*mine\.py"):
        discovery.discover(ROOT, [str(tmp_path)])


def test_a_broken_file_is_one_warning_and_the_error_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import absent_module")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        discovery.discover(ROOT, [str(tmp_path)])
    assert len(caught) == 1
    assert "broken.py does not import: ModuleNotFoundError" in str(caught[0].message)
    assert "absent_module" in (discovery.broken("broken") or "")


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        discovery.discover(ROOT, [str(tmp_path / "absent")])


@pytest.mark.process
def test_an_installed_package_brings_plugins(tmp_path: Path) -> None:
    source = ROOT / "tests" / "sample_package"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--target", str(tmp_path)]  # torch brings setuptools
    subprocess.run(
        [*install, str(shutil.copytree(source, tmp_path / "source"))],
        check=True,
        capture_output=True,
    )
    command = [sys.executable, "run.py", "optimizer=packaged", "debug=quick"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "max_steps=5" in done.stdout


@pytest.mark.process
def test_a_file_has_one_module_name_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print(__name__)")
    code = "import sys; from pathlib import Path; from experiments.plugin import discovery; "
    command = [sys.executable, "-c", code + "discovery.import_file(Path(sys.argv[1]))"]
    names = {
        subprocess.run(
            [*command, str(tmp_path / "mine.py")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(names) == 1
