"""The lint rules forbid what could run code that stands in a file, in every place of the code."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = [
    ("import torch\n\ntorch.load('x', weights_only=True)", "TID251"),
    ("import torch\n\ntorch.save(1, 'x')", "TID251"),
    ("from torch import load\n\nload('x')", "TID251"),
    ("import torch as t\n\nt.load('x')", "TID251"),
    ("import torch\n\ntorch.jit.load('x')", "TID251"),
    ("import pickle\n\npickle.loads(b'')", "TID251"),
    ("from pickle import loads\n\nloads(b'')", "S301"),
    ("import cloudpickle as c\n\nc.loads(b'')", "TID251"),
    ("import dill\n\ndill.loads(b'')", "TID251"),
    ("import joblib\n\njoblib.load('x')", "TID251"),
    ("import marshal\n\nmarshal.loads(b'')", "TID251"),
    ("import shelve\n\nshelve.open('x')", "TID251"),
    ("import numpy as np\n\nnp.load('x', allow_pickle=True)", "TID251"),
    ("import pandas as pd\n\npd.read_pickle('x')", "TID251"),
    ("import yaml\n\nyaml.load('x', Loader=yaml.Loader)", "S506"),
    ("import yaml\n\nyaml.unsafe_load('x')", "TID251"),
    ("from hydra.utils import instantiate\n\ninstantiate({})", "TID251"),
    ("eval('1')", "S307"),
    ("exec('1')", "S102"),
]


def _ruff(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    return subprocess.run(
        [*command, *arguments],
        input=text, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize(("text", "rule"), FORBIDDEN, ids=[text for text, _ in FORBIDDEN])
def test_code_that_could_run_what_a_file_holds_is_forbidden(text: str, rule: str) -> None:
    done = _ruff("--stdin-filename", "src/experiments/new.py", "-", text=f"{text}\n")
    assert done.returncode == 1
    assert f" {rule} " in done.stdout, done.stdout


@pytest.mark.parametrize("folder", ["plugins/model", "benchmarks"])
def test_the_rules_hold_for_plugins_and_benchmarks_too(folder: str) -> None:
    done = _ruff("--stdin-filename", f"{folder}/new.py", "-", text=f"{FORBIDDEN[0][0]}\n")
    assert " TID251 " in done.stdout


def test_no_code_has_leave_to_do_it() -> None:
    folders = [ROOT / "src", ROOT / "plugins", ROOT / "benchmarks"]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if "noqa" in line and ("TID251" in line or "S3" in line)]
    done = _ruff("src", "plugins", "benchmarks", "--select=TID251,S102,S301,S302,S307,S506")
    assert done.returncode == 0, done.stdout
