"""A run goes on only as the same experiment, unless the change is allowed and recorded."""

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import scenes
from composed import ROOT

from experiments import tensorfile
from experiments.cli import main
from experiments.runs import checkpoints, journal, provenance

PLUGIN = '''
import torch
from torch import Tensor
from experiments import Optimizer, State, number, register

@register("own_rule")
class OwnRule(Optimizer):
    """Steps along the gradient."""

    lr: float = number(0.1, at_least=0)

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        return self.lr * grad, state
'''
OVERRIDES = ["model=mlp", "optimizer=adam"]


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main.command(ROOT, arguments)
    return status, capsys.readouterr().err


def resumed(folder: Path, *more: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    arguments = [f"resume={folder.name}", f"output={folder.parent}", *scenes.QUICK, *more]
    return command(*arguments, capsys=capsys)


def tags(folder: Path) -> dict[str, str]:
    events = [event for event, _ in journal.read(folder / journal.FILE)]
    return {
        k: v for event in events if event["event"] == "tags" for k, v in event["values"].items()
    }


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["optimizer.lr=0.5"], "optimizer.lr: 0.001 then, 0.5 now"),
        (["model=linear"], "model: mlp then, linear now"),
        (["seed=1", "epochs=3"], "epochs: 2 then, 3 now; seed: 0 then, 1 now"),
        (["dataset.split_seed=9"], "dataset.split_seed: 0 then, 9 now"),
    ],
)
def test_other_settings_are_listed(
    stopped: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (stopped / journal.FILE).read_bytes()
    status, said = resumed(stopped, *more, capsys=capsys)
    assert status == 2
    assert told in said
    assert "resume_changed=true" in said
    assert said.count("\n") == 1
    assert (stopped / journal.FILE).read_bytes() == before


def test_an_allowed_change_is_recorded(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = resumed(stopped, "optimizer.lr=0.5", "resume_changed=true", capsys=capsys)
    assert status == 0, said
    assert tags(stopped)["resumed.changed"] == "optimizer.lr: 0.001 then, 0.5 now"
    assert tags(stopped)["resumed"] == "after step 5"


def test_other_versions_and_other_code_are_listed(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            provenance, "version", lambda name: "9.9" if name == "torch" else metadata.version(name)
        )
        status, said = resumed(stopped, capsys=capsys)
    assert (status, f"torch: {metadata.version('torch')} then, 9.9 now" in said) == (2, True)
    with monkeypatch.context() as patched:
        patched.setattr(provenance, "_own_code", lambda: "another digest")
        status, said = resumed(stopped, capsys=capsys)
    assert (status, "code of experiments:" in said) == (2, True)


@pytest.mark.usefixtures("own_registry")
def test_an_edited_plugin_is_listed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugins = tmp_path / "more"
    plugins.mkdir()
    (plugins / "own_rule.py").write_text(PLUGIN)
    wanted = ["optimizer=own_rule", f"plugin_path=[{plugins}]", f"output={tmp_path / 'runs'}"]
    with monkeypatch.context() as patched:
        scenes.interrupted_at(patched, 5)
        assert command(*scenes.QUICK, *wanted, capsys=capsys)[0] == 143
    (folder,) = (path.parent for path in (tmp_path / "runs").glob(f"*/{journal.FILE}"))
    (plugins / "own_rule.py").write_text(PLUGIN.replace("self.lr * grad", "2 * self.lr * grad"))
    status, said = resumed(folder, f"plugin_path=[{plugins}]", capsys=capsys)
    assert (status, "code of optimizer=own_rule:" in said) == (2, True), said


def test_other_data_are_noticed(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from plugins.dataset import digits

    load = digits.Digits.load

    def other(self: digits.Digits) -> object:
        splits = load(self)
        splits.train.tensors[0][0] += 1  # type: ignore[attr-defined]
        return splits

    monkeypatch.setattr(digits.Digits, "load", other)
    status, said = resumed(stopped, capsys=capsys)
    assert status == 2
    assert "the data:" in said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("stoped", "did you mean 'stopped'"),
        ("{folder}/checkpoints", "no run: it has no journal.jsonl"),
    ],
)
def test_what_is_no_run_is_refused(
    stopped: Path, value: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = value.format(folder=stopped)
    status, said = command(
        f"resume={wanted}", f"output={stopped.parent}", *scenes.QUICK, capsys=capsys
    )
    assert (status, told in said) == (2, True), said


def test_a_run_that_another_process_holds_is_busy(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = journal.Journal(stopped, resume=True)
    status, said = resumed(stopped, capsys=capsys)
    holder.close()
    assert (status, "busy" in said) == (2, True)


def test_auto_takes_the_unfinished_run_of_the_same_settings_that_came_furthest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs"
    for name, at, seed in (("a", 20, 0), ("b", 9, 0), ("c", 30, 1)):
        with monkeypatch.context() as patched:
            scenes.interrupted_at(patched, at)
            scenes.train(output / name, [*OVERRIDES, f"seed={seed}"])
    wanted = ["resume=auto", *scenes.QUICK, *OVERRIDES, f"output={output}"]

    def ends() -> set[str]:
        return {name for name in "abc" if "resumed" in tags(output / name)}

    assert command(*wanted, capsys=capsys)[0] == 0
    assert ends() == {"a"}
    assert command(*wanted, capsys=capsys)[0] == 0
    assert ends() == {"a", "b"}
    assert len(list(output.glob(f"*/{journal.FILE}"))) == 3
    assert command(*wanted, capsys=capsys)[0] == 0  # none is left: a new run
    assert len(list(output.glob(f"*/{journal.FILE}"))) == 4


def test_a_finished_run_has_nothing_to_go_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "whole"
    scenes.train(folder, OVERRIDES)
    before = (folder / journal.FILE).read_bytes()
    status = main.command(ROOT, [f"resume={folder.name}", f"output={folder.parent}", *scenes.QUICK])
    assert status == 0
    assert "is finished" in capsys.readouterr().out
    assert (folder / journal.FILE).read_bytes() == before


def test_a_finished_run_may_train_longer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer, whole = tmp_path / "runs" / "longer", tmp_path / "runs" / "whole"
    scenes.train(longer, OVERRIDES)
    status, said = resumed(longer, "epochs=4", "resume_changed=true", capsys=capsys)
    assert status == 0, said
    scenes.train(whole, [*OVERRIDES, "epochs=4"])
    found, expected = (
        tensorfile.load(one / checkpoints.FOLDER / checkpoints.LAST)[0] for one in (longer, whole)
    )
    assert found["params/weights1"].equal(expected["params/weights1"])


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_journal_is_read_to_its_last_good_record(
    stopped: Path,
    damage: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    scenes.train(tmp_path / "runs" / "whole", OVERRIDES)
    path = stopped / journal.FILE
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-9:]
    else:
        data[data.index(b'"event":"dataset"')] ^= 1  # before what the checkpoint refers to
    path.write_bytes(data)
    status, said = resumed(stopped, *OVERRIDES, capsys=capsys)
    assert status == 0, said
    assert "bytes are damaged and left out" in caplog.text
    assert scenes.same(scenes.outcome(stopped), scenes.outcome(tmp_path / "runs" / "whole"))


def test_the_last_checkpoint_but_one_serves_where_the_last_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    often = [*OVERRIDES, "checkpoint.unit=step", "checkpoint.every=10"]
    scenes.train(tmp_path / "runs" / "whole", often)
    folder = tmp_path / "runs" / "stopped"
    keep = checkpoints.Keeper.keep

    def at_once(keeper: checkpoints.Keeper, *arguments: Any) -> None:
        keep(keeper, *arguments)
        keeper.finish()  # a newer checkpoint would take the place of one that waits

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.Keeper, "keep", at_once)
        scenes.interrupted_at(patched, 25)
        scenes.train(folder, often)
    last = folder / checkpoints.FOLDER / checkpoints.LAST
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=r"last\.safetensors.*Another one is used"):
        assert resumed(folder, *often, capsys=capsys)[0] == 0
    assert tags(folder)["resumed"] == "after step 20"
    assert scenes.same(scenes.outcome(folder), scenes.outcome(tmp_path / "runs" / "whole"))


def test_checkpoints_that_are_all_damaged_are_status_4(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (stopped / checkpoints.FOLDER).iterdir():
        path.write_bytes(b"nothing")
    status, said = resumed(stopped, capsys=capsys)
    assert (status, said.count("\n")) == (4, 1)
    assert ".safetensors" in said
