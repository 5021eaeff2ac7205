"""A journal that decides which code runs or where data go: nothing of it is done unasked."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import refusals
import scenes
from composed import ROOT, compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import ConfigError
from experiments.cli import main
from experiments.config import consent
from experiments.runs import checkpoints, events, journal
from experiments.runs.folder import Folder
from experiments.sweeps import plan
from experiments.text import as_value

OVERRIDES = ["model=mlp", "optimizer=adam"]
PLAIN = ["device=cpu", "device.threads=1"]
EVIL = 'import pathlib\npathlib.Path(r"{canary}").touch()\n'
PRESET = "# @package _global_\ntracking: {uri: 'http://localhost:9'}\n"
HOSTILE = [
    "plugin_path=[{run}/code]",
    "++plugin_path=[{run}/code]",
    "tracking.uri=http://localhost:9",
    "tracking.mode=mlflow",
    "hydra.output_subdir=x",
    "hydra.job_logging.handlers.file.filename={run}/../x",
    "+hydra.searchpath=[file://{run}]",
    "+model@_global_=mlp",
    "+model@tracking=mlp",
    "schedule=../../../../../../../../..{run}/preset",
]


def forge(run: Path, *more: str) -> None:
    """Let a run's journal say that its command had more settings; its code is hostile."""
    start, *rest = (event for event, _ in journal.read(run / journal.FILE))
    start["overrides"] = [*scenes.QUICK, *OVERRIDES, *(of(run, line) for line in more)]
    (run / journal.FILE).write_bytes(b"".join(map(events.encode, [start, *rest])))
    (run / "code").mkdir(exist_ok=True)
    (run / "code" / "evil.py").write_text(EVIL.format(canary=run.parent.parent / "canary"))
    (run / "preset.yaml").write_text(PRESET)


def of(run: Path, line: str) -> str:
    """Return a setting that names a run's folder."""
    return line.replace("{run}", str(run))


@pytest.mark.parametrize("setting", refusals.some(HOSTILE, 4))
@pytest.mark.parametrize("wanted", ["stopped", "auto"])
def test_what_decides_about_code_and_places_is_not_taken_from_a_journal(
    stopped: Path,
    wanted: str,
    setting: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forge(stopped, setting)
    before = {path: path.stat().st_mtime_ns for path in stopped.parent.parent.rglob("*")}
    own = [*scenes.QUICK, *OVERRIDES] if wanted == "auto" else []
    arguments = [f"resume={wanted}", f"output={stopped.parent}", "tracking=offline", *own]
    told = refusals.refusal(arguments, capsys, monkeypatch)
    assert "journal of stopped alone cannot decide" in told
    assert shlex.split(told.rpartition("command: ")[2]) == [of(stopped, setting)]
    assert {path: path.stat().st_mtime_ns for path in stopped.parent.parent.rglob("*")} == before


def test_what_the_line_says_can_be_typed_and_then_counts(
    stopped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(stopped, "plugin_path=['{run}/code']", "tracking.uri=http://localhost:9")
    told = refusals.refusal([f"resume={stopped}"], capsys, monkeypatch)
    typed = shlex.split(told.rpartition("command: ")[2])
    assert len(typed) == 2
    assert main.command(ROOT, [f"resume={stopped}", *typed]) == 0
    assert (stopped.parent.parent / "canary").exists()


def test_a_run_goes_on_where_it_stands_without_another_word(stopped: Path) -> None:
    forge(
        stopped, f"output={stopped.parent}", "repeats=2", "sweep.zip=[seed]", "resume=auto",
        "tracking.name=x", "hydra.run.dir=/nowhere", "hydra.mode=RUN",
    )  # fmt: skip
    assert main.command(ROOT, [f"resume={stopped}"]) == 0
    assert Folder(stopped).end == "FINISHED"


def test_what_the_command_says_of_a_group_is_all_that_is_read(
    stopped: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = ["model=../nowhere", "+tracking={nonsense:1}"]
    forge(stopped, *hostile)
    told = refusals.refusal([f"resume={stopped}"], capsys, monkeypatch)
    assert shlex.split(told.rpartition("command: ")[2]) == hostile
    assert main.command(ROOT, [f"resume={stopped}", "model=mlp", "tracking=offline"]) == 0


def test_what_conf_says_too_needs_no_word() -> None:
    own = ["tracking.uri=http://localhost:9", "plugin_path=[/]", "tracking.mode=mlflow"]
    dataset = compose(OVERRIDES).dataset
    with pytest.raises(ConfigError, match=r"tracking\.uri=http"):
        consent.require("r", own, [], plan.plan(ROOT, "config", [], multirun=False).config, dataset)
    told = plan.plan(ROOT, "config", own, multirun=False).config
    consent.require("r", own, [], told, dataset)
    with pytest.raises(ConfigError, match="localhost:8"):
        consent.require("r", ["tracking.uri=http://localhost:8"], [], told, dataset)


def test_where_a_data_set_downloads_to_is_asked_for() -> None:
    lines = ["dataset=fashion_mnist", "dataset.root=/x", "seed=1"]
    assert consent.asked(lines, compose(["dataset=fashion_mnist"]).dataset) == []
    loading = compose(["dataset=fashion_mnist", "dataset.download=true"]).dataset
    assert consent.asked(lines, loading) == lines[:2]


def test_a_run_s_folder_with_a_link_is_not_written_to(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(stopped)
    outside = stopped.parent.parent / "outside"
    outside.mkdir()
    shutil.rmtree(stopped / checkpoints.FOLDER)
    (stopped / checkpoints.FOLDER).symlink_to(outside)
    assert main.command(ROOT, [f"resume={stopped}"]) == 4
    assert "is a link" in capsys.readouterr().err
    assert list(outside.iterdir()) == []


@pytest.mark.whole
@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_name_is_pasted_as_it_is(name: str) -> None:
    dataset = compose(OVERRIDES).dataset
    line = consent.again("config", name, [], dataset)
    *_, setting = shlex.split(line)
    assert setting == f"resume={as_value(name)}"
    if name.isprintable():
        assert OverridesParser.create().parse_override(setting).value() == name


@pytest.mark.parametrize(
    "name", refusals.some(["a b", "x,(y)=[ü],{'\"}", "1e3", "null", "-a~", "#;&$", "\\"], 2)
)
def test_the_line_that_an_interrupt_prints_goes_on(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = [*scenes.QUICK, *OVERRIDES, f"output={as_value(name)}"]
    with monkeypatch.context() as patched:
        scenes.interrupted_at(patched, 3)
        assert main.command(ROOT, settings) == 143
    (line,) = re.findall("go on with: (.*)", capsys.readouterr().err)
    program, file, *arguments = shlex.split(line)
    assert (program, file) == ("python", "run.py")
    assert main.command(ROOT, arguments) == 0
    (run,) = (tmp_path / name).iterdir()
    assert Folder(run).end == "FINISHED"
