"""Settings that stand for far more than they are: refused in a moment, and nothing expands them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from measured import Taken, measure

from experiments.config import limits
from experiments.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SECONDS, MEGABYTES, LONGEST = 2.0, 300.0, 500
CALL = f"""
import contextlib, io, json, os, sys
from pathlib import Path
from experiments.cli import main as cli

root = Path({str(ROOT)!r})

def call(text):
    os.environ.pop("HYDRA_FULL_ERROR", None)
    with contextlib.redirect_stderr(io.StringIO()) as told:
        status = cli.command(root, json.loads(text))
    raise RuntimeError(f"{{status}} {{told.getvalue()}}")

with contextlib.suppress(RuntimeError):
    call('["model=none"]')  # what is slow when it is done first
"""
NINE = "\n".join(
    [f"a0: &a0 [{', '.join(['x'] * 9)}]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)
WIDE = f"a: &a [{', '.join(['x'] * 3000)}]\nb: [{', '.join(['*a'] * 3000)}]"
DOUBLED = "plugin_path:\n" + "\n".join(
    f"  - '${{plugin_path.{n + 1}}}${{plugin_path.{n + 1}}}'" for n in range(30)
)
FILES = {
    "aliases": NINE,
    "quadratic": WIDE,
    "itself": "a: &a [*a]",
    "merged": "a: &a {x: 1, y: 2}\nb: &b {p: *a, q: *a, r: *a}\n" + "\n".join(
        f"c{n}: &c{n} {{<<: *{'b' if not n else f'c{n - 1}'}, p: *{'b' if not n else f'c{n - 1}'}, "
        f"q: *{'b' if not n else f'c{n - 1}'}}}" for n in range(30)
    ),
    "deep": "[" * 5000 + "]" * 5000,
    "deep_mappings": "{a: " * 3000 + "1" + "}" * 3000,
    "deep_blocks": "\n".join(" " * n + "a:" for n in range(600)) + " 1",
    "deep_dashes": "- " * 3000 + "1",
    "long": f"tracking: {{name: '{'x' * 1_000_000}'}}",
    "many": "\n".join(f"k{n}: 1" for n in range(100_000)),
    "doubled": DOUBLED + "\n  - x",
    "in_a_circle": "tracking: {name: '${tracking.experiment}', experiment: '${tracking.name}'}",
    "tab": "a:\n\t- b",
    "binary": "\0\1\2",
    "objects": "a: !!python/object/apply:os.getcwd []",
}  # fmt: skip
MILLION = "x" * 1_000_000
LINES: dict[str, list[str]] = {
    "a range of 10^9": ["-m", "optimizer.lr=range(0,1e9)"],
    "a range of 10^9 whole numbers": ["-m", "seed=range(0,1000000000)"],
    "a range of small steps": ["-m", "optimizer.lr=range(0,1,1e-300)"],
    "a range without end": ["-m", "optimizer.lr=range(0,inf)"],
    "a range of nothing known": ["-m", "optimizer.lr=range(0,nan)"],
    "a range without steps": ["-m", "optimizer.lr=range(0,1,0)"],
    "a shuffled range": ["-m", "seed=shuffle(range(0,1000000000))"],
    "a sorted range": ["-m", "seed=sort(range(0,1000000000),reverse=true)"],
    "an interval": ["-m", "optimizer.lr=interval(0,1)"],
    "10^6 jobs": ["-m", "seed=range(0,1000)", "optimizer.lr=range(0,1,0.001)"],
    "10^6 jobs of choices": [
        "-m", *(f"{key}=1,2,3,4,5,6,7,8,9,10" for key in
                ("seed", "epochs", "batch_size", "accumulate", "log_every", "max_steps"))
    ],
    "jobs in a preset": ["sweep=learning_rate", "optimizer.lr=range(0,1e9)"],
    "a long value": [f"tracking.name={MILLION}"],
    "a long key": [f"{MILLION}=1"],
    "a long quoted value": [f"tracking.name='{MILLION}'"],
    "a long list": [f"plugin_path=[{','.join(['a'] * 300_000)}]"],
    "a long choice": ["-m", f"seed={','.join(map(str, range(200_000)))}"],
    "many settings": [f"+x{n}=1" for n in range(30_000)],
    "brackets": ["plugin_path=" + "[" * 5000 + "]" * 5000],
    "braces": ["tracking=" + "{a:" * 3000 + "1" + "}" * 3000],
    "open brackets": ["plugin_path=" + "[" * 9000],
    "calls": ["seed=" + "int(" * 2000 + "1" + ")" * 2000],
    "references": ["tracking.name=" + "${" * 2000 + "seed" + "}" * 2000],
    "many references": ["tracking.name='" + "${output}" * 1000 + "'", "output='${tracking.uri}'"],
    "a circle": ["tracking.name=${tracking.experiment}", "tracking.experiment=${tracking.name}"],
    "itself": ["seed=${seed}"],
    "YAML in a value": ["plugin_path=${oc.create:'a: &a [1,1]'}"],
    "escapes": ["tracking.name='" + "\\\\" * 4900 + "'"],
    "quotes": ["tracking.name=" + "'" * 9001],
    "dots": ["a" + "." * 9000 + "b=1"],
    "plus signs": ["+" * 9000 + "a=1"],
    "a large number": [f"seed={'9' * 9000}"],
    "a large exponent": ["seed=1e999999999"],
    "a long name of a configuration": ["--config-name", MILLION],
    "a long folder": ["--config-dir", MILLION],
    "a long flag": [f"--{MILLION}"],
}  # fmt: skip


def _judge(name: str, taken: Taken) -> None:
    assert taken.error == "RuntimeError", (name, taken)
    status, _, line = taken.text.partition(" ")
    assert (status, line.count("\n"), len(line) <= LONGEST) == ("2", 1, True), (name, taken)
    assert taken.seconds < SECONDS and taken.megabytes < MEGABYTES, (name, taken)


def test_what_expands_is_refused_at_once(rounds: Callable[[int, int], int], tmp_path: Path) -> None:
    out, files = tmp_path / "out", tmp_path / "files" / "experiment"
    files.mkdir(parents=True)
    cases = dict(LINES)
    for name, text in FILES.items():
        (files / f"{name}.yaml").write_text(f"# @package _global_\n{text}")
        cases[name] = ["--config-dir", str(files.parent), f"experiment={name}"]
    names = list(cases)[:: rounds(1, 11)]
    asked = [json.dumps([*cases[name], f"output={out}"]) for name in names]
    for name, taken in zip(names, measure(CALL, asked), strict=True):
        _judge(name, taken)
    assert not out.exists()


@pytest.mark.parametrize(
    ("start", "stop", "step", "count"),
    [(0, 10, 1, 10), (0, 1, 0.1, 10), (5, 0, -1, 5), (0, 10, 3, 4), (3, 3, 1, 0), (0, -5, 1, 0)],
)
def test_the_numbers_of_a_range_are_counted(
    start: float, stop: float, step: float, count: int
) -> None:
    assert limits.count(start, stop, step) == pytest.approx(count, abs=1)
    if isinstance(step, int) and isinstance(start, int):
        assert limits.count(start, stop, step) == len(range(start, int(stop), step))


def test_ordinary_settings_and_files_are_within_the_limits(tmp_path: Path) -> None:
    limits.check_lines(["seed=" + ",".join(map(str, range(1000))), "model.hidden=[[1,2],[3]]"])
    limits.check_jobs([100, 100, 10])
    file = tmp_path / "a.yaml"
    file.write_text("a: &a {x: 1}\nb: *a\nc: [*a, *a]\n" + " " * 50 + "# far in\n")
    limits.check_yaml(file)
    for path in (ROOT / "conf").rglob("*.yaml"):
        limits.check_yaml(path)


@pytest.mark.parametrize(("levels", "refused"), [(4, False), (10, True)])
def test_references_are_counted_before_they_are_resolved(levels: int, *, refused: bool) -> None:
    tree = {f"a{n}": f"${{a{n + 1}}}${{a{n + 1}}}${{a{n + 1}}}" for n in range(levels)}
    if not refused:
        limits.check_references(tree)
        return
    with pytest.raises(ConfigError, match="refer to each other"):
        limits.check_references(tree)
