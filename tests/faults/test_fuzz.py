"""Command lines of any kind: each is taken or refused in one line, and none surprises."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from refusals import ROOT, judged, process

from experiments.api.command import Command
from experiments.cli import main
from experiments.runs.folder import Folder

# Not plugin_path: the files of whatever folder it names would be run.
KEYS = [
    "model", "optimizer", "dataset", "loss", "schedule", "device", "transform", "augment", "metric",
    "experiment", "sweep", "tracking", "debug", "study", "model.hidden", "model.init_scale",
    "optimizer.lr", "optimizer.momentum", "schedule.warmup", "seed", "epochs", "max_steps",
    "time_limit", "batch_size", "accumulate", "log_every", "monitor", "data.workers", "data.order",
    "evaluate.every", "evaluate.unit", "early_stopping.patience", "early_stopping.target",
    "tracking.mode", "tracking.uri", "tracking.experiment", "tracking.name", "tracking.wait",
    "output", "schedules", "schedules.beta1", "transform.clip_norm.max_norm",
    "resume", "checkpoint.every", "checkpoint", "data", "evaluate", "early_stopping",
    "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.mode", "hydra.job.name",
    "hydra.job.chdir", "hydra.job.env_set", "hydra.job.num", "hydra.job.id", "hydra.verbose",
    "hydra.output_subdir", "hydra.callbacks", "hydra.launcher", "hydra.sweeper",
    "hydra.sweeper.params", "hydra.sweeper.max_batch_size", "hydra.searchpath", "hydra.job_logging",
    "hydra.job_logging.root.level", "hydra.job_logging.root.handlers", "hydra.job_logging.version",
    "hydra.job_logging.handlers", "hydra.job_logging.handlers.console.level",
    "hydra.job_logging.handlers.console.stream", "hydra.job_logging.formatters.simple.format",
    "hydra.job_logging.loggers", "hydra.hydra_logging", "hydra.help", "hydra.help.template",
    "hydra.overrides.task", "hydra.runtime.output_dir", "hydra.runtime.choices", "hydra.run",
    "hydra.sweep", "hydra.job", "hydra.runtime", "hydra", "hydra/launcher", "hydra/sweeper",
    "hydra/job_logging", "hydra/hydra_logging", "hydra/callbacks", "hydra/output", "hydra/env",
    "hydra/help", "defaults", "_self_", "", ".", "a.b", "no_such_setting", "größe", "模型",
]  # fmt: skip
NAMES = [
    "linear", "mlp", "cnn", "sgd", "adam", "momentum", "digits", "synthetic", "constant", "cosine",
    "cpu", "auto", "null", "none", "offline", "mlflow", "quick", "learning_rate", "fashion_mlp",
    "clip_norm", "weight_decay", "accuracy", "true", "false", "default", "basic", "disabled",
    "MULTIRUN", "RUN", "val/accuracy", "epoch", "step", "..", "../x", "/tmp/x", ".", "~", "???",
]  # fmt: skip
NUMBERS = [
    "0", "1", "-1", "3", "0.1", "1e-3", "-0.5", "1e400", "nan", "inf", "-inf", "1_000", "0x10",
    "99999999999999999999", "1.5", "1e9", ".5", "5.", "00", "--1", "1e", "0b1", "٣",
]  # fmt: skip
ODD = [
    "", " ", "'", '"', "\\", "\\'", "a b", "a\nb", "a\tb", "\r", "\x1b[31m", "\u202e", "é", "日本",
    "🙂", "\u0301", "$", "${", "}", "${}", "${x", "$x", "[", "]", "{", "}", "[1,2]", "[[1],[2]]",
    "{a:1}", "{a:{b:[1]}}", "{1:2}", "[a,[b,{c:d}]]", "a,b", "1,2,3", "'a,b'", '"x"', "''", "%s",
    "%(x)s", "a=b", "=", "==", "#", "# x", "@", "a@b", ":", "a:b", "&a", "*a", "!x", "|", ">", "`",
    "<<", "~", "+", "++", "-", "--", "?", "null", "x" * 300, "é" * 200, "\ud800", "\0", "\ufeff",
]  # fmt: skip
REFERENCES = [
    "${seed}", "${output}", "${optimizer.lr}", "${no.such}", "${.x}", "${..x}", "${hydra.run.dir}",
    "${hydra:job.num}", "${hydra:run.dir}", "${oc.env:HOME}", "${oc.env:NO_SUCH_VARIABLE}",
    "${oc.env:NO_SUCH_VARIABLE,x}", "${oc.create:{a:1}}", "${oc.decode:'1'}", "${oc.select:seed}",
    "${oc.dict.keys:model}", "${oc.dict.values:model}", "${oc.deprecated:seed}", "${now:%Y}",
    "${now:}", "${run_id:}", "${run_id:1}", "${checkout:}", "${scratch:}", "${unknown:1}",
    "${${seed}}", "a${seed}b", "${seed}${seed}", "${model}", "${schedule}", "${python_version:}",
    "${hydra.job.override_dirname}", "${tracking.name}", "${epochs}", "\\${seed}",
]  # fmt: skip
SWEEPS = [
    "1,2", "0.1,0.01", "linear,mlp", "range(1,3)", "range(0,1,0.5)", "range(3)", "range(0,1e9)",
    "range(1,0)", "range(0,1,0)", "choice(1,2)", "choice(a)", "glob(*)", "glob(l*,exclude=linear)",
    "interval(0,1)", "tag(a,1,2)", "sort(3,1)", "shuffle(1,2,3)", "shuffle(range(3))", "int(3.5)",
    "str(1)", "float(1)", "bool(x)", "json_str(1)", "unknown(1)", "extend_list(1)", "1,,2", ",",
]  # fmt: skip
GOOD = [
    "model=mlp", "optimizer=adam", "seed=3", "optimizer.lr=1e-2", "schedule=cosine", "epochs=2",
    "transform=[clip_norm]", "tracking.name=a", "~transform", "batch_size=8", "monitor=val/loss",
    "tracking.name='a, b'", "tracking.name=größe", "+schedule@schedules.lr=cosine", "++seed=4",
    "max_steps=${epochs}", "hydra.job.name=x", "data.order=reshuffle", "hydra.verbose=[a]",
]  # fmt: skip

texts = st.text(max_size=12)
atoms = st.one_of(*(st.sampled_from(v) for v in (NAMES, NUMBERS, ODD, REFERENCES, SWEEPS)), texts)
quoted = st.builds(lambda text, quote: f"{quote}{text}{quote}", atoms, st.sampled_from("'\""))
values = st.one_of(
    atoms,
    quoted,
    st.builds(lambda items: f"[{','.join(items)}]", st.lists(atoms, max_size=3)),
    st.builds(lambda key, value: f"{{{key}:{value}}}", st.sampled_from(KEYS), atoms),
)
package = st.sampled_from([*KEYS, "_global_", "_group_", "a:b", ":", "schedules.lr"])
packages = st.one_of(st.just(""), st.just(""), st.just(""), st.builds("@{}".format, package))
prefixes = st.sampled_from(["", "", "", "", "+", "++", "~", "-", "+~", " "])
good = st.sampled_from(GOOD)
overrides = st.one_of(
    good,
    good,
    st.builds("{}{}{}={}".format, prefixes, st.sampled_from(KEYS), packages, values),
    st.builds("{}{}={}".format, prefixes, st.sampled_from(KEYS), values),
    st.builds("~{}".format, st.sampled_from(KEYS)),
    st.builds("{}{}".format, st.sampled_from(KEYS), atoms),
    atoms,
)
flags = st.lists(
    st.sampled_from(["-m", "-m", "--multirun", "-r", "--run", "--config-name=config", "-cn=absent",
                     "--config-dir=conf", "--config-dir=/absent", "--cfg=job", "--cfg=nothing",
                     "--info=defaults", "-x", "--help", "--", "-p", "--package=model",
                     "--shell-completion", "--resolve"]),
    max_size=1,
)  # fmt: skip
command_lines = st.builds(
    lambda flag, several: [*flag, *several], flags, st.lists(overrides, min_size=1, max_size=3)
)
QUICK = ["debug=quick", "device=cpu", "dataset=synthetic", "dataset.items=50", "epochs=1"]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _entries(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.iterdir()}


@pytest.mark.parametrize("number", [18, pytest.param(19, marks=pytest.mark.whole)])
def test_any_command_line_is_taken_or_refused_in_one_line(
    number: int,
    rounds: Callable[[int, int], int],
    output: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything up to the first step is done as for a user; training is left to processes."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.chdir(output.parent)
    monkeypatch.setattr(Command, "carry_out", lambda _: Folder(output))
    before = _entries(output.parent, ROOT)
    taken: list[bool] = []

    @seed(number)
    @settings(
        max_examples=rounds(500, 12), suppress_health_check=list(HealthCheck), derandomize=False
    )
    @given(command_lines)
    def check(line: list[str]) -> None:
        try:
            status = main.command(ROOT, [*line, "tracking=none", f"output={output}"])
        except SystemExit as end:  # of Hydra's own flags
            status = int(end.code or 0)
        told = capsys.readouterr()
        if status != 0:
            judged(status, told.err)
        assert _entries(output.parent, ROOT) == before
        taken.append(status == 0)

    check()
    assert 0.02 < sum(taken) / len(taken) < 0.9


def test_processes_do_as_they_are_told_or_refuse_it_in_one_line(
    rounds: Callable[[int, int], int], output: Path
) -> None:
    rng = random.Random(18)
    for number in range(rounds(20, 1)):
        odd = rng.choice([text for text in (*REFERENCES, *ODD) if "\0" not in text])
        line = rng.sample(GOOD, 2)
        if number % 2:
            line.append(f"{rng.choice(KEYS[14:44])}={odd}")
        # A lone surrogate comes in as a byte that is no UTF-8.
        given_line = [text.replace("\ud800", "\udc80") for text in line]
        done = process(*given_line, *QUICK, f"output={output}", cwd=output.parent)
        told = done.stderr.decode()
        assert done.returncode in (0, 2), (line, told)
        if done.returncode == 2:
            judged(done.returncode, told)
            assert not done.stdout
        assert not list(output.parent.iterdir())
