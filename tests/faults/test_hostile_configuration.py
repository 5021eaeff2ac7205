"""Configuration made to run code: refused before Hydra makes a folder or an object of it."""

import sys
from pathlib import Path

import pytest
from refusals import ROOT, judged, process, refusal, some

from experiments.cli import main
from experiments.config import safety

# Importing it makes the file, so that a name which is only looked up is found out as well.
HARM = """
import logging
import pathlib

pathlib.Path(r"{canary}").touch()

class Made(logging.StreamHandler):
    def __init__(self, *arguments, **named):
        super().__init__()

def call(*arguments, **named):
    return Made()
"""
FILES = {
    "experiment/callbacks.yaml": "hydra: {callbacks: {x: {_target_: harm.call}}}",
    "experiment/environment.yaml": "hydra: {job: {env_set: {PYTHONSTARTUP: /tmp/x.py}}}",
    "experiment/handler.yaml": "hydra: {job_logging: {handlers: {console: {class: harm.Made}}}}",
    "experiment/sweeps.yaml": (
        "hydra: {mode: MULTIRUN, sweeper: {params: {+hydra.callbacks.x._target_: harm.call}}}"
    ),
    "experiment/swept.yaml": (
        "hydra: {mode: MULTIRUN, sweeper: {params: {hydra.run.dir: /tmp/x}}}"
    ),
    "experiment/referred.yaml": (
        "tracking: {name: harm.call}\nhydra: {callbacks: {x: '${tracking}'}}"
    ),
    "experiment/repeated.yaml": (
        "hydra: {overrides: {hydra: ['hydra.job_logging.formatters.simple.()=harm.call']}}"
    ),
    "experiment/sources.yaml": "hydra: {searchpath: ['pkg://harm']}",
    "experiment/plugins.yaml": "plugin_path: ['{plugins}']",
    "model/made.yaml": "_target_: harm.call",
    "hydra/launcher/made.yaml": "_target_: harm.Made",
    "hydra/sweeper/made.yaml": "_target_: harm.Made",
    "hydra/callbacks/made.yaml": "x: {_target_: harm.call}",
    "hydra/help/made.yaml": "_target_: harm.call",
    "hydra/job_logging/made.yaml": (
        "version: 1\nhandlers: {console: {'()': harm.call}}\nroot: {handlers: [console]}"
    ),
    "hydra/hydra_logging/made.yaml": (
        "version: 1\nformatters: {simple: {class: harm.Made}}\nroot: {handlers: []}"
    ),
}
LOGGING = "hydra.job_logging"
# Each command line, and the setting that its refusal names.
PROBES = [
    ("+_target_=harm.call", "_target_"),
    ("+model._target_=harm.call", "model._target_"),
    ("++model._target_=harm.call", "model._target_"),
    ("model={_target_:harm.call}", "model"),
    ("+model={_target_:harm.call,_args_:[1]}", "model"),
    ("+model._partial_=true", "model._partial_"),
    ("+model._recursive_=true", "model._recursive_"),
    ("+model._convert_=all", "model._convert_"),
    ("+model._args_=[1]", "model._args_"),
    ("+transform.x._target_=harm.call", "transform.x"),
    ("+tracking._target_=harm.call", "tracking._target_"),
    ("tracking.name={_target_:harm.call}", "tracking.name"),
    ("+schedules.x._target_=harm.call", "schedules.x"),
    ("+anything.deep.below._target_=harm.call", "anything"),
    ("-m model._target_=harm.call,harm.other", "model._target_"),
    ("-m +model={_target_:harm.call},{_target_:harm.other}", "model"),
    ("-m +hydra.callbacks.x._target_=harm.call,harm.other", "hydra.callbacks.x._target_"),
    ("+hydra.callbacks.x._target_=harm.call", "hydra.callbacks.x"),
    ("++hydra.callbacks.x={_target_:harm.call,_partial_:true}", "hydra.callbacks.x"),
    ("hydra.callbacks={x:{_target_:harm.call}}", "hydra.callbacks"),
    ("hydra.callbacks=${oc.create:{x:{_target_:harm.call}}}", "hydra.callbacks"),
    ("+hydra.callbacks.x=${model}", "hydra.callbacks.x"),
    ("hydra.launcher._target_=harm.Made", "hydra.launcher._target_"),
    ("-m hydra.launcher._target_=harm.Made seed=1,2", "hydra.launcher._target_"),
    ("+hydra.launcher.inner._target_=harm.call", "hydra.launcher.inner"),
    ("hydra.launcher=${model}", "hydra.launcher"),
    ("hydra.sweeper._target_=harm.Made", "hydra.sweeper._target_"),
    ("hydra.sweeper._target_=hydra_plugins.harm.Made", "hydra.sweeper._target_"),
    ("+hydra.sweeper.params.x._target_=harm.call", "hydra.sweeper.params.x._target_"),
    ("+hydra.sweeper._args_=[1]", "hydra.sweeper._args_"),
    ("-m hydra.sweeper.params={hydra.run.dir:/tmp/x} seed=1,2", "params.hydra.run.dir"),
    ("--config-dir {files} experiment=swept", "hydra.run.dir"),
    (f"{LOGGING}.handlers.console.class=harm.Made", "console: class=harm.Made"),
    (f"+{LOGGING}.handlers.console.()=harm.call", "()"),
    (f"+{LOGGING}.formatters.simple.()=harm.call", "()"),
    (f"+{LOGGING}.formatters.simple.class=harm.Made", "class=harm.Made"),
    (f"+{LOGGING}.filters.x.()=harm.call", "filters"),
    (f"+{LOGGING}.handlers.console.filters=[harm.call]", "filters"),
    (f"{LOGGING}.handlers.console.stream=ext://harm.call", "stream=ext://harm.call"),
    (f"{LOGGING}.handlers.console.stream=cfg://root", "stream=cfg://root"),
    (f"+{LOGGING}.handlers.queue={{class:logging.handlers.QueueHandler}}", "QueueHandler"),
    (f"+{LOGGING}.handlers.console..={{x:1}}", "handlers.console"),
    (f"{LOGGING}.formatters.simple.format=${{oc.create:harm}}", "format"),
    (f"+{LOGGING}.loggers.x={{'()':harm.call}}", "()"),
    ("hydra.hydra_logging.handlers.console.class=harm.Made", "class=harm.Made"),
    ("+hydra.job.env_set.PYTHONSTARTUP=/tmp/x.py", "hydra.job.env_set"),
    ("hydra.job.env_set={LD_PRELOAD:/tmp/x.so}", "hydra.job.env_set"),
    ("hydra.job.env_copy=[HOME]", "hydra.job.env_copy"),
    ("hydra.searchpath=[pkg://harm]", "hydra.searchpath=pkg://harm"),
    ("++hydra.searchpath=[pkg://harm]", "hydra.searchpath=pkg://harm"),
    ("hydra.searchpath=[harm://x]", "hydra.searchpath=harm://x"),
    ("hydra.overrides.hydra=['+hydra.callbacks.x._target_=harm.call']", "hydra.overrides"),
    ("hydra.overrides.task=['+hydra.callbacks.x._target_=harm.call']", "hydra.overrides"),
    ("--experimental-rerun harm.pickle", "--experimental-rerun"),
    ("--config-path /tmp", "--config-path"),
    ("--config-dir {files} experiment=callbacks", "hydra.callbacks.x"),
    ("--config-dir {files} experiment=environment", "hydra.job.env_set"),
    ("--config-dir {files} experiment=handler", "class=harm.Made"),
    ("--config-dir {files} experiment=sweeps", "hydra.sweeper.params"),
    ("--config-dir {files} experiment=referred", "hydra.callbacks.x"),
    ("--config-dir {files} experiment=repeated", "hydra.overrides"),
    ("--config-dir {files} experiment=sources", "hydra.searchpath"),
    ("--config-dir {files} -m experiment=fashion_mlp,callbacks", "hydra.callbacks.x"),
    ("--config-dir {files} -m experiment=callbacks,fashion_mlp", "hydra.callbacks.x"),
    ("--config-dir {files} model=made", "model._target_"),
    ("--config-dir {files} hydra/launcher=made", "hydra.launcher._target_"),
    ("--config-dir {files} -m hydra/sweeper=made seed=1,2", "hydra.sweeper._target_"),
    ("--config-dir {files} hydra/callbacks=made", "hydra.callbacks.x"),
    ("--config-dir {files} +hydra/callbacks@hydra.callbacks=made", "hydra"),
    ("--config-dir {files} hydra/help=made", "hydra.help._target_"),
    ("--config-dir {files} hydra/job_logging=made", "handlers.console"),
    ("--config-dir {files} hydra/hydra_logging=made", "class=harm.Made"),
    ("--config-dir {files} hydra.searchpath=[{files}]", "--config-dir"),
    ("hydra.searchpath=[file://{files}] experiment=callbacks", "hydra.callbacks.x"),
    ("hydra.searchpath=[{files}] +hydra/callbacks=made", "hydra"),
]
AS_PROCESSES = [
    "+hydra.callbacks.x._target_=harm.call",
    "hydra.searchpath=[pkg://harm]",
    "--config-dir {files} experiment=handler",
    "--config-dir {files} experiment=callbacks",
    "--cfg all hydra.searchpath=[pkg://harm]",
]


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that exists once anything of the module `harm` has run."""
    made = tmp_path / "canary"
    (tmp_path / "harm.py").write_text(HARM.format(canary=made))
    for name, text in FILES.items():
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        head = "# @package _global_\n" if "experiment" in name else ""
        file.write_text(head + text.replace("{plugins}", str(tmp_path / "plugins")))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "plugin.py").write_text(HARM.format(canary=made))
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("harm", None)  # of another test
    return made


def _arguments(probe: str, canary: Path) -> list[str]:
    place = canary.parent
    given = probe.replace("{files}", str(place / "files")).split(" ")
    return [*given, "debug=quick", f"output={place / 'runs'}"]


def test_there_are_enough_probes_and_none_twice() -> None:
    assert len({probe for probe, _ in PROBES}) == len(PROBES) >= 37


@pytest.mark.parametrize(("probe", "key"), some(PROBES, 12))
def test_what_could_run_code_is_refused(
    probe: str,
    key: str,
    canary: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = refusal(_arguments(probe, canary), capsys, monkeypatch)
    assert key in line
    assert not canary.exists()
    assert not (canary.parent / "runs").exists()


@pytest.mark.parametrize("probe", some(AS_PROCESSES, 5))
@pytest.mark.process
def test_a_process_refuses_it_too(probe: str, canary: Path) -> None:
    done = process(*_arguments(probe, canary), variables={"PYTHONPATH": str(canary.parent)})
    judged(done.returncode, done.stderr.decode())
    assert not canary.exists()


@pytest.mark.parametrize("probe", some([AS_PROCESSES[2]], 1))
def test_without_the_screening_the_same_settings_run_code(
    probe: str, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(safety, "dangers", lambda *_: ())
    main.command(ROOT, _arguments(probe, canary))
    assert canary.exists()


@pytest.mark.whole
@pytest.mark.parametrize(
    ("probe", "status"),
    [
        ("--config-dir {files} experiment=plugins", 2),
        ("plugin_path=[{files}/../plugins]", 0),
        ("plugin_path={files}/../plugins", 0),
    ],
)
def test_a_file_beside_the_main_one_names_no_folder_of_plugins(
    probe: str,
    status: int,
    canary: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert main.command(ROOT, _arguments(probe, canary)) == status
    assert canary.exists() == (status == 0)
    assert ("experiment/plugins.yaml: plugin_path" in capsys.readouterr().err) == (status == 2)


@pytest.mark.whole
@pytest.mark.parametrize("group", ["none", "default", "stdout", "disabled"])
def test_hydras_own_ways_to_log_are_allowed(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    settings = [f"hydra/job_logging={group}", "max_steps=1", "tracking=offline"]
    small = ["tracking.figures=false", "tracking.model=false", f"output={tmp_path}"]
    assert main.command(ROOT, [*settings, *small]) == 0
