"""Secrets: what comes from the environment or stands in an address is never written or printed."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from refusals import process, refusal, some

from experiments.config import compose
from experiments.process import secrecy
from experiments.runs import journal, provenance
from experiments.runs.journal import Journal
from experiments.sweeps import plan
from experiments.training import handover

ROOT = Path(__file__).resolve().parents[2]
CANARIES = ["CANARY-3f9c1b", 'CANARY "quoted" pä$s wörd', "8041552671093348"]
SMALL = ["max_steps=3", "device=cpu", "dataset=digits", "tracking.figures=false"]
# A model that tells its setting in every way that a plugin has, and then fails if it is to.
TELLING = '''
import logging
import os
import sys
import warnings

import torch
from experiments import Model, Network, register

@register("telling")
class Telling(Model):
    """A linear model that tells its setting."""

    word: str = ""
    fails: bool = False

    def build(self, spec):
        print("printed", self.word, os.environ.get("MLFLOW_TRACKING_TOKEN"))
        print("printed", self.word, file=sys.stderr)
        logging.getLogger("telling").warning("logged %s", self.word)
        warnings.warn(f"warned of {self.word}")
        weights = torch.zeros(spec.features, spec.outputs, requires_grad=True)
        return Network({"weights": weights}, self.forward)

    def forward(self, params, inputs):
        if self.fails and len(inputs) > 2 and torch.is_grad_enabled():
            raise ZeroDivisionError(f"the word was {self.word}")
        try:
            raise KeyError(self.word)
        except KeyError:
            logging.getLogger("telling").exception("caught %s", self.word)
        return inputs.flatten(1) @ params["weights"]
'''


@pytest.fixture(autouse=True)
def _nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide in a test only what it hides itself."""
    monkeypatch.setattr(secrecy, "_shown", {})


@pytest.fixture
def plugins(tmp_path: Path) -> str:
    """Return the setting that finds the telling model."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "telling.py").write_text(TELLING)
    return f"plugin_path=[{tmp_path / 'plugins'}]"


def forms(secret: str) -> set[bytes]:
    """Return the bytes by which a secret could be found again."""
    texts = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret)}
    return {text.encode() for text in texts}


def found(done: "subprocess.CompletedProcess[bytes]", folder: Path, secrets: Sequence[str]) -> list:
    """Return where a secret occurs in what a process printed and wrote, and in files' names."""
    written = {"stdout": done.stdout, "stderr": done.stderr}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        written[name] = name.encode() + (path.read_bytes() if path.is_file() else b"")
    assert len(written) > 2
    told = [form for secret in secrets for form in forms(secret)]
    return [(name, form) for name, content in written.items() for form in told if form in content]


def _run(
    folder: Path, *settings: str, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    folder.mkdir(exist_ok=True)
    return process(*settings, *SMALL, f"output={folder}", variables=variables, cwd=folder)


@pytest.mark.parametrize("canary", some(CANARIES, 3))
@pytest.mark.process
def test_a_setting_from_the_environment_is_stored_as_its_variable(
    canary: str, plugins: str, tmp_path: Path, made_store: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copyfile(made_store, out / "mlflow.db")
    wanted = ["model=telling", "model.word=${oc.env:WORD}", "tracking.name='a ${oc.env:WORD}'"]
    store = f"tracking.uri=sqlite:///{out}/mlflow.db"
    done = _run(out, plugins, *wanted, store, variables={"WORD": canary})
    assert done.returncode == 0, done.stderr
    assert found(done, out, [canary]) == []
    assert done.stdout.count(b"printed ${oc.env:WORD}") == 1
    assert b"caught ${oc.env:WORD}\nTraceback" in done.stdout
    assert done.stderr.count(b"${oc.env:WORD}") >= 3
    (run,) = out.glob("*/journal.jsonl")
    start = next(journal.read(run))[0]
    assert start["config"]["model"]["word"] == "${oc.env:WORD}"
    assert start["name"] == "a ${oc.env:WORD}"
    assert "KeyError: '${oc.env:WORD}'" in (run.parent / "run.log").read_text()


@pytest.mark.whole
@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.process
def test_a_failure_tells_the_variable(canary: str, plugins: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = ["model=telling", "model.word=${oc.env:WORD}", "model.fails=true"]
    for full in ("0", "1"):
        variables = {"WORD": canary, "HYDRA_FULL_ERROR": full}
        done = _run(out, plugins, *wanted, "tracking=offline", variables=variables)
        assert done.returncode == 1
        assert found(done, out, [canary]) == []
        assert b"the word was ${oc.env:WORD}" in done.stderr
    for error in out.glob("*/error.txt"):
        assert "the word was ${oc.env:WORD}" in error.read_text()


@pytest.mark.process
def test_a_sweep_tells_the_variable(plugins: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wanted = ["model=telling", "model.word=${oc.env:WORD}", "model.fails=true,false"]
    done = _run(out, "-m", plugins, *wanted, "tracking=offline", variables={"WORD": CANARIES[0]})
    assert done.returncode == 1
    assert found(done, out, CANARIES[:1]) == []


@pytest.mark.whole
@pytest.mark.parametrize("shown", ["--cfg job --resolve", "--cfg all", "--help"])
@pytest.mark.process
def test_showing_the_configuration_tells_the_variable(shown: str, tmp_path: Path) -> None:
    flags = shown.split()
    done = process(
        "tracking.name=${oc.env:WORD}", f"output={tmp_path}", "seed=1", *flags,
        variables={"WORD": CANARIES[0]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tmp_path / "one").touch()
    assert found(done, tmp_path, CANARIES[:1]) == []
    assert b"${oc.env:WORD}" in done.stdout


@pytest.mark.parametrize("canary", some(CANARIES[:2], 2))
@pytest.mark.parametrize(
    "setting",
    some(["optimizer.lr", "epochs", "tracking.mode", "schedules", "dataset.root", "monitor"], 5),
)
def test_a_refused_value_from_the_environment_is_not_shown(
    setting: str,
    canary: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORD", canary)
    given = [f"{setting}=${{oc.env:WORD}}", f"output={tmp_path / 'out'}", "tracking=offline"]
    if setting == "dataset.root":
        # No folder of this name: the fault is of the data, whose status is 4.
        from experiments.cli import main

        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        assert main.command(ROOT, ["dataset=fashion_mnist", *given]) == 4
        line = capsys.readouterr().err
    else:
        line = refusal(given, capsys, monkeypatch)
    assert not [form for form in forms(canary) if form in line.encode()]
    assert not (tmp_path / "out").exists()


ADDRESSES = [
    "http://user:{}@127.0.0.1:1",
    "https://{}@127.0.0.1:1/path",
    "postgresql://user:{}@127.0.0.1:1/base",
    "mysql+pymysql://user:{}@127.0.0.1/base?charset=utf8",
    "postgresql://127.0.0.1:1/base?user=a&password={}",
    "mssql+pyodbc:///?odbc_connect=SERVER%3Da%3BPWD%3D{}",
]


@pytest.mark.parametrize("address", some(ADDRESSES, 6))
def test_an_address_with_a_password_is_refused_as_a_setting(
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = f"tracking.uri='{address.format('CANARY-pw')}'"
    for more in ([], ["epochs=many"], ["tracking.uri=null"]):
        line = refusal([given, *more, f"output={tmp_path / 'out'}"], capsys, monkeypatch)
        assert "CANARY" not in line
    assert "MLFLOW_TRACKING_PASSWORD" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.whole
@pytest.mark.process
def test_an_address_with_a_password_and_a_token_of_the_environment_are_not_told(
    plugins: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    variables = {
        "MLFLOW_TRACKING_URI": "http://user:CANARY-pw@127.0.0.1:9",
        "MLFLOW_TRACKING_TOKEN": "CANARY-token",
        "SOME_API_KEY": "CANARY-key",
        "WORD": "CANARY-word CANARY-key",
    }
    wanted = ["model=telling", "model.word=${oc.env:WORD}", "tracking.wait=2"]
    done = _run(out, plugins, *wanted, variables=variables)
    assert done.returncode == 0, done.stderr
    assert found(done, out, ["CANARY", "CANARY-pw"]) == []


def test_an_address_is_shown_without_its_password() -> None:
    shown = {
        "http://u:p@h:1/x": "http://***@h:1/x",
        "http://token@h/x": "http://***@h/x",
        "postgresql://u:p/w@h/db": "postgresql://***@h/db",
        "postgresql://u:p@w@h/db": "postgresql://***@h/db",
        "mysql://h/db?user=a&password=p&x=1": "mysql://h/db?user=a&password=***&x=1",
        "sqlite:////home/me@work/mlflow.db": "sqlite:////home/me@work/mlflow.db",
        "http://h:5000/x@y": "http://***@y",  # for a database it could be a password
        "": "",
        "://@": "://***@",
        "nonsense": "nonsense",
    }
    assert {uri: secrecy.without_password(uri) for uri in shown} == shown


@pytest.mark.parametrize(
    "value", ["abc", "0.001", "1234567", "-1e-5", "true", "None", str(ROOT), str(ROOT / "src")]
)
def test_what_is_no_secret_is_not_hidden(value: str) -> None:
    secrecy.hide(value)
    assert secrecy.clean(f"of {value} it is {value}") == f"of {value} it is {value}"


def test_a_plugins_name_from_the_environment_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHICH", "adam")
    monkeypatch.setenv("WHERE", "offline")
    compose.publish(ROOT, "test")
    overrides = ["optimizer=${oc.env:WHICH}", "tracking.mode=${oc.env:WHERE}"]
    experiment = plan.plan(ROOT, "config", overrides, multirun=False).experiment
    start = provenance.start_event(
        experiment, provenance.Identity("1", None, "a name", overrides), ROOT
    )
    assert start["config"]["optimizer"]["plugin"] == "optimizer/adam"
    assert start["config"]["tracking"]["mode"] == "offline"


def test_words_of_the_journals_own_stay_though_they_are_hidden(tmp_path: Path) -> None:
    secrecy.hide("metrics", "${oc.env:X}")
    secrecy.hide("checkpoints", "${oc.env:Y}")
    tracker = Journal(tmp_path)
    tracker.add("metrics", step=1, values={"metrics": 1.0})
    tracker.artifact("checkpoints/a", "checkpoints")
    tracker.add("tags", values={"note": "metrics"})
    tracker.close()
    events = [event for event, _ in journal.read(tmp_path / journal.FILE)]
    assert [event["event"] for event in events] == ["metrics", "artifact", "tags"]
    assert events[0]["values"] == {"metrics": 1.0}
    assert events[1]["path"] == "checkpoints/a"
    assert events[2]["values"] == {"note": "${oc.env:X}"}


def test_a_written_file_is_clean(tmp_path: Path) -> None:
    secrecy.hide("CANARY", "***")
    tracker = Journal(tmp_path)
    handover.write(tracker, "error.txt", "it was CANARY")
    tracker.close()
    assert (tmp_path / "error.txt").read_text() == "it was ***\n"
