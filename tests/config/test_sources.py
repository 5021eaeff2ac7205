"""Where plugins are named: on the command line and in the main file, as one folder or a list."""

from pathlib import Path

import pytest
from composed import ROOT
from omegaconf import OmegaConf

from experiments.config import compose, sources
from experiments.errors import ConfigError
from experiments.sweeps import plan


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout whose `conf/` is this one's, to be written in."""
    for file in (ROOT / "conf").rglob("*.yaml"):
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (tmp_path / "own (1)").mkdir()
    return tmp_path


def _named(checkout: Path, *lines: str, name: str = "config") -> list[str]:
    """Return the folders of plugins that a command names, as it is composed."""
    folders = sources.checked_folders(checkout, name, lines)
    compose.publish(checkout, "test")
    experiment = plan.plan(checkout, name, lines, multirun=False).experiment
    sources.check_plugins(experiment, folders)
    assert experiment.plugin_path == folders
    return folders


@pytest.mark.parametrize("form", ["{}", "[{}]", "'{}'", "['{}']"])
def test_one_folder_is_a_list_of_one(checkout: Path, form: str) -> None:
    folder = str(checkout / "own (1)")
    assert _named(checkout, f"plugin_path={form.format(folder)}") == [folder]


@pytest.mark.parametrize("form", ["plugin_path: '{}'", "plugin_path: ['{}']"])
def test_the_main_file_may_name_one_too(checkout: Path, form: str) -> None:
    folder, main = str(checkout / "own (1)"), checkout / "conf" / "config.yaml"
    main.write_text(f"{main.read_text()}\n{form.format(folder)}\n")
    assert _named(checkout) == [folder]
    assert _named(checkout, "plugin_path=[]") == []


def test_another_file_that_names_one_is_refused_by_name(checkout: Path) -> None:
    folder, preset = str(checkout / "own (1)"), checkout / "conf" / "experiment" / "mine.yaml"
    text = (
        f"# @package _global_\ndefaults: [override /model: of_that_folder]\nplugin_path: '{folder}'"
    )
    preset.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml: plugin_path counts on the command line"):
        _named(checkout, "experiment=mine")
    beside = checkout / "conf" / "beside.yaml"
    beside.write_text("defaults: [config, _self_]")
    main = checkout / "conf" / "config.yaml"
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(main), {"plugin_path": [folder]}), main)
    with pytest.raises(ConfigError, match=r"own \(1\) is of another file"):
        _named(checkout, name="beside")
