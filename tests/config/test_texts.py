"""Texts reach a setting as they are typed, and a message says how else to type them."""

import shlex
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest
from commands import refused
from composed import ROOT, SMALL, compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from experiments import ConfigError, Metric, register
from experiments.api import script
from experiments.config.compose import publish
from experiments.config.texts import as_typed, pasted
from experiments.plugin.description import describe
from experiments.runs import provenance
from experiments.sweeps import plan

TYPED = [
    "data/epoch=3.csv",
    "sepal length (cm)",
    "a b",
    " a ",
    "(a)",
    "[old] a.csv",
    "{a}",
    "a#b&c;d",
    "it's",
    'a "b" c',
    "'a",
    "a@b~c!d<e>f`g^h",
    "größe",
    "日本 (円)",
    r"C:\data\new=1.csv",
    r"\\server\share",
    "f(x, y)",
    "int(x)",
    "a: b",
    "1.10",
    "1_000",
    "1e3",
    "true",
    "nan",
    "007",
    "[a, b]",
    "a(b",
]
nasty = st.text(
    st.one_of(st.sampled_from("'\"\\()[]{}=, \t#&$@:ab1.ü"), st.characters(codec="utf-8")),
    min_size=1,
).filter(lambda text: "\0" not in text)


def _read(line: str) -> object:
    return OverridesParser.create().parse_override(line).value()


@pytest.mark.parametrize("text", TYPED)
def test_a_text_is_what_is_typed(text: str) -> None:
    assert str(_read(as_typed(f"dataset.path={text}"))) == text


def test_a_plugin_gets_texts_as_they_are_typed() -> None:
    lines = ["dataset.path=a=1.csv", "dataset.target=1.10", "dataset.ignore=length (cm)"]
    got = describe(compose(["dataset=csv", *lines]).dataset)
    assert (got["path"], got["target"], got["ignore"]) == ("a=1.csv", "1.10", ["length (cm)"])


@pytest.mark.parametrize("key", ["monitor", "tracking.experiment", "+tracking.uri", "sweep.file"])
def test_it_is_so_for_every_setting_that_is_a_text(key: str) -> None:
    assert _read(as_typed(f"{key}=a=b (c)")) == "a=b (c)"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("'a b'", "a b"),
        ('"a=b"', "a=b"),
        (r"a\=b\ \(c\)", "a=b (c)"),
        ("null", None),
        ("${seed}/a=b", "${seed}/a=b"),
        (r"a\b", r"a\b"),
    ],
)
def test_what_hydra_has_a_meaning_for_keeps_it(value: str, kept: str | None) -> None:
    assert _read(as_typed(f"monitor={value}")) == kept


@given(nasty)
@example("a\\")
@example("\\'")
def test_what_is_printed_can_be_pasted(text: str) -> None:
    line = f"tracking.name={text}"
    if typed := pasted(line):
        (given_again,) = shlex.split(typed)
        assert as_typed(given_again) == given_again
        assert _read(given_again) == text
    taken = as_typed(line)
    assert as_typed(taken) == taken
    (again,) = shlex.split(provenance.command([taken]))[2:]
    assert _read(again) == _read(taken)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("[sepal length (cm), kind]", ["sepal length (cm)", "kind"]),
        ("sepal length (cm)", ["sepal length (cm)"]),
        ("kind", ["kind"]),
        ("['a, b', c=d, 1.10]", ["a, b", "c=d", "1.10"]),
        ("[]", []),
        ("[größe]", ["größe"]),
    ],
)
def test_a_list_of_texts_has_them_as_typed(value: str, items: list[str]) -> None:
    assert _read(as_typed(f"dataset.ignore={value}")) == items


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("value", "declared", "other"),
    [
        ("sepal length (cm)", "sepal length (cm)", "sepal length (cm)"),
        ("[a (b), c=d]", ["a (b)", "c=d"], ["a (b)", "c=d"]),
        ("1.10", "1.10", 1.1),
        ("[1.10, true]", ["1.10", "true"], [1.1, True]),
        ("null", None, None),
    ],
)
def test_what_takes_one_text_or_several_may_say_so(
    value: str, declared: object, other: object
) -> None:
    @register("own")
    class Own(Metric):
        """Has a field that says so, and one that does not."""

        columns: Any = field(default=None, metadata={"texts": True})
        anything: Any = None

        def statistics(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return targets

        def value(self, total: Tensor) -> Tensor:
            return total

    assert _read(as_typed(f"metric.own.columns={value}")) == declared
    assert _read(as_typed(f"metric.own.anything={value}")) == other


def test_null_where_a_value_is_needed_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told = refused(["dataset=csv", "dataset.path=null"], capsys, monkeypatch)
    assert told == "error: dataset.path=null: it needs a value.\n"


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a/epoch=3.csv,a/epoch=4.csv", ["a/epoch=3.csv", "a/epoch=4.csv"]),
        ("length (cm, in), 'b, c',1.10", ["length (cm, in)", "b, c", "1.10"]),
        ("choice(length (cm), b=c)", ["length (cm)", "b=c"]),
        ("it's,that's", ["it's", "that's"]),
        ("a b,c: d", ["a b", "c: d"]),
        ("a(b,c", ["a(b", "c"]),
    ],
)
def test_a_sweep_has_texts_between_commas(value: str, texts: list[str]) -> None:
    override = OverridesParser.create().parse_override(as_typed(f"monitor={value}"))
    assert [_read(f"key={item}") for item in override.sweep_string_iterator()] == texts


@pytest.mark.whole
def test_a_file_of_jobs_has_texts_in_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    rows = ["monitor, seed", "a=b (c), 1", "1.10, 2", '"a, b", 3', "größe , 4"]
    path.write_text("\r\n".join(rows), encoding="utf-8-sig")
    assert _monitored([f"sweep.file={path}"]) == ["a=b (c)", "1.10", "a, b", "größe"]
    path.write_text("monitor;seed\na, b;1\n\nc;2\n")
    assert _monitored([f"sweep.file={path}"]) == ["a, b", "c"]
    path.write_text("monitor,seed\na,1\nb,1,2\n")
    with pytest.raises(ConfigError, match="row 2 has 3 cells, and 2 settings have a name"):
        _monitored([f"sweep.file={path}"])
    path.write_text("seed,monitor,seed\n1,a,2\n")
    with pytest.raises(ConfigError, match="seed is given twice"):
        _monitored([f"sweep.file={path}"])
    path = tmp_path / "jobs=2 (b).yaml"
    path.write_text("[{monitor: 'a=b (c)'}, {monitor: '1.10'}, {monitor: 'a, b'}]")
    assert _monitored([f"sweep.file={path}"]) == ["a=b (c)", "1.10", "a, b"]


def test_a_file_of_jobs_has_lists_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text("- {dataset.ignore: ['length (cm)', 'a, b']}\n- {dataset.ignore: '[c=d, e]'}")
    publish(ROOT, "test")
    lines = ["dataset=csv", "dataset.path=a", f"sweep.file={path}"]
    found = [job[-1] for job in plan.plan(ROOT, "config", lines, multirun=True).jobs]
    assert [_read(line) for line in found] == [["length (cm)", "a, b"], ["c=d", "e"]]


def _monitored(lines: list[str]) -> list[object]:
    """Return what the jobs of a sweep monitor."""
    publish(ROOT, "test")
    jobs = plan.plan(ROOT, "config", lines, multirun=True).jobs
    return [_read(line) for job in jobs for line in job if line.startswith("monitor=")]


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("dataset.target=a, b", """'dataset.target="a, b"'"""),
        ("dataset.path=a=1, (b)", """'dataset.path="a=1, (b)"'"""),
        ("dataset.ignore=a,b (c)", "'dataset.ignore=[a,b (c)]'"),
        ("epochs=a (b", """'epochs="a (b"'"""),
    ],
)
def test_a_message_says_what_to_paste(
    line: str, typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, told = refused(["dataset=csv", line], capsys, monkeypatch)
    assert (status, typed in told) == (2, True)


def test_a_key_that_does_not_exist_is_told_whatever_its_value_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told = refused(["trackin.name=a=b (c"], capsys, monkeypatch)
    assert "trackin" in told
    _, told = refused(["tracking.nam=a=b (c"], capsys, monkeypatch)
    assert "did you mean 'name'?" in told


def test_a_run_goes_on_with_its_texts(tmp_path: Path) -> None:
    output = tmp_path / "runs=1 (a)"
    lines = [f"output={output}", "tracking=offline", "tracking.name=é 'a' (b=c) #1"]
    first = script.run(*SMALL, *lines, epochs=1, root=ROOT)
    assert first.folder is not None
    more = ["resume_changed=true", "epochs=2", "tracking=offline", f"output={output}"]
    second = script.run(f"resume={first.folder}", *more, root=ROOT)
    assert second.folder == first.folder
    assert second.settings["tracking.name"] == "é 'a' (b=c) #1"


def test_a_setting_of_no_text_is_left_alone() -> None:
    for line in ("optimizer.lr=1e-3,0.1", "model.hidden=[8,8]", "dataset=digits", "~monitor"):
        assert as_typed(line) == line
