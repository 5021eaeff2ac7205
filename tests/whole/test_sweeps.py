"""Whole sweeps: what trains together, what each job leaves, and how a sweep goes on."""

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import scenes
import torch
from composed import ROOT
from matplotlib.figure import Figure
from swept import FAILING, FOUR, MLP, plugin, result, sweep

from experiments import tensorfile
from experiments.cli import main
from experiments.runs import journal, provenance
from experiments.runs.folder import Folder
from experiments.runs.predictor import predictor
from experiments.training import handover, train
from experiments.training.group import Ended, Group
from experiments.training.history import History
from experiments.training.loop import Step
from experiments.training.session import Session
from experiments.training.train import Training


@pytest.fixture(autouse=True)
def _no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave files without pixels in the place of figures, which take longer than the jobs."""
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: Path(path).touch())


def test_every_job_of_a_group_leaves_what_it_would_leave_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [*FOUR, "schedule=cosine", "checkpoint.unit=epoch"]
    together = sweep(tmp_path / "lanes", *wanted)
    sources = {str(p.relative_to(together)) for p in together.rglob("source/**/*.py")}
    assert {"source/plugins/optimizer/adam.py", "source/plugins/metric/mae.py"} <= sources
    paths = {event.get("path") for event, _ in journal.read(together / journal.FILE)}
    assert sources <= paths  # all of them once, in the sweep's folder
    assert "4 jobs -> 1 group (4 lanes), 0 alone" in capsys.readouterr().out
    alone = sweep(tmp_path / "alone", "hydra/launcher=basic", *wanted, quick=[*MLP])
    for job in range(4):
        one, other = together / str(job), alone / str(job)
        names = {path.name for path in other.rglob("*")} - {"code.patch"}
        assert {path.name for path in one.rglob("*")} >= names - {"previous.safetensors"}
        numbers, expected = scenes.numbers(one), scenes.numbers(other)
        measured = {key for key in expected if key[0].startswith(journal.MEASURED)}
        assert numbers.keys() - measured == expected.keys() - measured
        for key in expected.keys() - measured:
            assert numbers[key] == pytest.approx(expected[key], rel=1e-9, abs=1e-9), key
        for name in ("best", "last"):
            tensors, facts = tensorfile.load(one / f"checkpoints/{name}.safetensors")
            others, _ = tensorfile.load(other / f"checkpoints/{name}.safetensors")
            assert tensors.keys() == others.keys()
            # The best parameters may be those of this very step, which is taken again.
            own = {key for key in tensors if not key.startswith(("random/", "best/"))}
            for key in own:
                found = (tensors[key].double() - others[key].double()).abs().max().item()
                assert found < 1e-9, (job, name, key, found)
            assert facts["model"]["plugin"] == "model/mlp"
        start, like = (journal.start_of(folder) for folder in (one, other))
        assert start["params"].keys() == like["params"].keys()
        assert start["params"]["optimizer.lr"] == like["params"]["optimizer.lr"]
        assert start["parent_id"] == together.name.removesuffix("-sweep")
        hydra = [(folder / ".hydra" / "overrides.yaml").read_text() for folder in (one, other)]
        assert hydra[0].replace("lanes", "") == re.sub("alone", "", hydra[1]).replace("lanes", "")
        assert "stopped" in (one / "run.log").read_text()


def test_a_lane_goes_on_alone_and_predicts(tmp_path: Path) -> None:
    folder = sweep(tmp_path, *FOUR) / "2"
    predict = predictor(folder / "checkpoints/best.safetensors")
    assert predict(torch.zeros(3, 4, dtype=torch.float64)).shape[0] == 3
    longer = [f"resume={folder.parent.name}/2", "resume_changed=true", "epochs=3"]
    assert main.command(ROOT, [*longer, f"output={tmp_path}"]) == 0
    assert result(folder.parent, 2)["step"] == 6


def test_lanes_that_end_early_do_not_disturb_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["optimizer=sgd", "dataset.task=regression", "epochs=12", "evaluate.every=2"]
    rates = "optimizer.lr=0.001,0.002,0.003,0.004,1e4,2e4,3e4"
    compacted: list[int] = []
    compact = Group.compact

    def counting(self: Group) -> list[int]:
        before = len(self._runs)
        places = compact(self)
        compacted.append(before - len(places))
        return places

    monkeypatch.setattr(Group, "compact", counting)
    few = sweep(tmp_path / "few", *wanted, rates.rpartition(",1e4")[0])
    all_of_them = sweep(tmp_path / "all", *wanted, rates)
    assert [result(all_of_them, job)["status"] for job in range(7)] == [
        *["finished"] * 4,
        *["diverged"] * 3,
    ]
    for job in range(4):
        names = ("best", "last")
        paths = [f"{job}/checkpoints/{name}.safetensors" for name in names]
        for path in paths:
            tensors, others = (tensorfile.load(f / path)[0] for f in (few, all_of_them))
            for key in tensors.keys() - {"random/cpu"}:
                assert tensors[key].equal(others[key]), (path, key)
    many = sweep(tmp_path / "many", *wanted, "optimizer.lr=0.001,0.002,1e4,2e4,3e4")
    assert 3 in compacted
    for job in range(2):
        path = f"{job}/checkpoints/last.safetensors"
        tensors, others = (tensorfile.load(f / path)[0] for f in (few, many))
        torch.testing.assert_close(tensors["params/weights1"], others["params/weights1"])


def test_lanes_reach_their_target_or_lose_patience_by_themselves(tmp_path: Path) -> None:
    wanted = ["epochs=30", "early_stopping.target=0.9", "early_stopping.patience=4"]
    folder = sweep(tmp_path, *wanted, "optimizer.lr=0.0,0.05,0.2", "seed=1")
    reasons = {str(result(folder, job)["reason"]).split()[-1] for job in range(3)}
    assert result(folder, 0)["step"] != result(folder, 1)["step"]
    assert len(reasons) > 1


def test_jobs_whose_results_are_there_are_reused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = sweep(tmp_path, *FOUR)
    capsys.readouterr()
    more = sweep(tmp_path, "optimizer.lr=0.01,0.1,0.2", "seed=1,2", "reuse=true")
    assert "6 jobs -> 1 group (2 lanes), 0 alone, 4 there already" in capsys.readouterr().out
    assert more != first
    with (more / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["job"] for row in rows} == set("012345")
    assert all(row["status"] == "finished" for row in rows)


@pytest.mark.whole
def test_values_go_side_by_side_come_from_files_and_are_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zipped = sweep(
        tmp_path / "zip", "sweep.zip=[optimizer.lr,epochs]", "optimizer.lr=0.1,0.2", "epochs=1,2"
    )
    starts = [journal.start_of(zipped / job)["params"] for job in "01"]
    assert [(p["optimizer.lr"], p["epochs"]) for p in starts] == [(0.1, 1), (0.2, 2)]
    table = tmp_path / "jobs.csv"
    table.write_text("optimizer.lr,batch_size\n0.1,20\n0.2,40\n")
    listed = sweep(tmp_path / "file", f"sweep.file={table}", "seed=3,4")
    starts = [journal.start_of(listed / job)["params"] for job in "0123"]
    assert [(p["optimizer.lr"], p["batch_size"], p["seed"]) for p in starts] == [
        (0.1, 20, 3), (0.2, 40, 3), (0.1, 20, 4), (0.2, 40, 4)
    ]  # fmt: skip
    repeated = sweep(tmp_path / "seeds", "repeats=3", "optimizer.lr=0.01,0.1", "seed=5")
    assert [journal.start_of(repeated / str(n))["params"]["seed"] for n in range(6)] == [
        5,
        6,
        7,
    ] * 2
    told = capsys.readouterr().out
    assert "#0 seed=3 optimizer.lr=0.1 batch_size=20: " in told  # only what jobs differ in
    assert "#5 optimizer.lr=0.1 seed=7: " in told
    text = (repeated / "over_seeds.md").read_text()
    assert "| 3 | 0 |" in text
    with (repeated / "over_seeds.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("optimizer.lr=-1,0.1,0.2", "optimizer.lr=-1"),
        ("optimizer.lr=oops,0.1,0.2", "optimizer.lr=oops"),
        ("optimizer=adamm,adam,sgd", "optimizer=adamm"),
    ],
)
def test_what_does_not_compose_is_named_and_the_rest_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, wrong: str
) -> None:
    folder = sweep(tmp_path, line, "seed=1", status=1)
    told = capsys.readouterr()
    assert wrong in told.err.splitlines()[0]
    assert "1 of 3 jobs failed" in told.err
    assert [result(folder, job)["status"] for job in (1, 2)] == ["finished"] * 2


def test_where_a_failure_stops_the_sweep_every_job_has_to_compose(tmp_path: Path) -> None:
    folder = sweep(tmp_path, "optimizer.lr=0.1,0.2", "seed=1")
    shutil.rmtree(folder)
    assert main.command(ROOT, ["-m", *scenes.QUICK, *MLP, "on_error=stop", f"output={tmp_path}",
                              "optimizer.lr=-1,0.1"]) == 2  # fmt: skip
    assert not list(tmp_path.glob("*-sweep"))


@pytest.mark.usefixtures("own_registry")
def test_a_sweep_goes_on_after_a_failure_or_stops_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = plugin(tmp_path, "failing", FAILING)
    quick = [*MLP[:3], "model=failing", own]
    wanted = ["model.width=13,4", "optimizer.lr=0.1,0.2"]
    sweep(tmp_path / "on", *wanted, status=1, quick=quick)
    told = capsys.readouterr()
    assert told.out.count("failed: model=failing: ZeroDivisionError: on purpose") == 2
    assert "2 of 4 jobs failed" in told.err
    folder = sweep(tmp_path / "stop", *wanted, "on_error=stop", status=1, quick=quick)
    assert not (folder / "2" / "result.json").exists()
    assert Folder(folder).end == "KILLED"
    # Once its cause is mended, the same command goes on with what failed and what is missing.
    (tmp_path / "plugins" / "mended").touch()
    assert sweep(tmp_path / "stop", *wanted, "on_error=stop", quick=quick) == folder
    assert [result(folder, job)["status"] for job in range(4)] == ["finished"] * 4
    assert Folder(folder).end == "FINISHED"


HUNGRY = '''
import torch
from torch import Tensor
from experiments import DataSpec, Model, Network, register

@register("hungry")
class Hungry(Model):
    """Runs out of memory where more than two train together."""

    def build(self, spec: DataSpec) -> Network:
        weights = torch.randn(spec.outputs, spec.features, requires_grad=True)
        return Network({"weights": weights}, self.forward)

    def forward(self, params: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ params["weights"].T
'''


def test_out_of_memory_halves_a_group_which_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = plugin(tmp_path, "hungry", HUNGRY)
    taken = Training.take

    def full(self: Training, step: Step) -> list[Ended]:
        if len(self._group.places()) > 2 and step.t == 3:
            torch.empty(2**62, dtype=torch.uint8)  # more than any machine has
        return taken(self, step)

    monkeypatch.setattr(Training, "take", full)
    quick = [*MLP[:3], "model=hungry", own]
    folder = sweep(tmp_path / "runs", "optimizer.lr=0.1,0.2", "seed=1,2", quick=quick)
    assert "4 lanes are too many for the memory" in (folder / "groups/0/run.log").read_text()
    for job in range(4):
        assert result(folder, job)["status"] == "finished"
        events = [event for event, _ in journal.read(folder / str(job) / journal.FILE)]
        names = [(n, t) for e in events if e["event"] in journal.NUMBERS
                 for n, t, _ in journal.points(e)]  # fmt: skip
        assert len(names) == len(set(names))


PICKY = '''
import sys
from torch import nn
from experiments import DataSpec, Model, number, register

@register("picky")
class Picky(Model):
    """Cannot be built with the scale 3, as `way` says."""

    scale: float = number(1.0, lanes=True)
    way: str = "value"

    def build(self, spec: DataSpec) -> nn.Module:
        if self.scale == 3:
            WAYS[self.way]()
        return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, spec.outputs))

def fail(error: BaseException) -> None:
    raise error

WAYS = {
    "value": lambda: fail(ValueError("not of 3")),
    "other": lambda: fail(ArithmeticError("not of 3")),
    "exit": lambda: sys.exit("not of 3"),
    "access": lambda: fail(PermissionError(13, "not of 3")),
    "base": lambda: fail(BaseException("not of 3")),
}
'''


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("way", "probe"),
    [
        ("value", True),
        ("exit", False),
        *(pytest.param(way, True, marks=pytest.mark.whole) for way in ("other", "access", "base")),
        pytest.param("other", False, marks=pytest.mark.whole),
    ],
)
def test_a_lane_that_cannot_be_built_fails_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str, probe: bool
) -> None:
    own = plugin(tmp_path, "picky", PICKY)
    wanted = [f"model.way={way}", "model.scale=1,2,3,4", f"hydra.launcher.probe={probe}"]
    folder = sweep(tmp_path, *wanted, quick=[*MLP[:3], "model=picky", own], status=1)
    told = capsys.readouterr()
    assert "4 jobs -> 1 group (4 lanes), 0 alone" in told.out
    assert "error: 1 of 4 jobs failed:\n  #2 model.scale=3:" in told.err
    assert told.err.count("model.scale=3") == 1
    assert "not of 3" in told.err
    jobs = [folder / str(job) for job in range(4)]
    statuses = [Folder(job).status for job in jobs]
    assert statuses == ["finished", "finished", "failed", "finished"]
    assert [Folder(job).end for job in jobs] == ["FINISHED", "FINISHED", "FAILED", "FINISHED"]


LATE = '''
from torch import Tensor
from experiments import Optimizer, State, register

@register("late")
class Late(Optimizer):
    """Cannot begin at a rate of 0.4."""

    lr: float = 0.1

    def init(self, params: Tensor) -> State:
        if self.lr == 0.4:
            raise ArithmeticError("not at 0.4")
        return {}

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        return self.lr * grad, state
'''


@pytest.mark.usefixtures("own_registry")
def test_the_first_job_too_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = plugin(tmp_path, "late", LATE)
    wanted = ["optimizer=late", "optimizer.lr=0.4,0.1,0.2", own]
    folder = sweep(tmp_path, *wanted, quick=[*MLP[:3], "model=linear"], status=1)
    assert "1 of 3 jobs failed" in capsys.readouterr().err
    assert [Folder(folder / job).status for job in "012"] == ["failed", "finished", "finished"]


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("at a step"), pytest.param(SystemExit(0), marks=pytest.mark.whole)],
)
def test_a_lane_that_stops_all_at_a_step_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    taken = Training.take
    together: list[int] = []

    def failing(self: Training, step: Step) -> list[Ended]:
        experiments = self._group.session.experiments
        if step.t == 3 and any(one.seed == 3 for one in experiments):
            raise error
        if step.t == 3:
            together.append(len(experiments))
        return taken(self, step)

    monkeypatch.setattr(Training, "take", failing)
    folder = sweep(tmp_path / "one", "seed=1,2,3,4,5,6", status=1)
    assert sorted(together) == [1, 1, 3]
    assert [Folder(folder / str(job)).end for job in range(6)] == [
        "FAILED" if job == 2 else "FINISHED" for job in range(6)
    ]
    assert ("at a step" if error.args[0] else "sys.exit(0)") in str(result(folder, 2)["reason"])
    monkeypatch.setattr(Training, "take", taken)
    undisturbed = sweep(tmp_path / "all", "seed=1,2,3,4,5,6")
    for job in (0, 1, 3, 4, 5):
        # Sums of another number of lanes are rounded in another way.
        losses, expected = (
            [value for _, value in Folder(runs / str(job)).series("train/loss")]
            for runs in (folder, undisturbed)
        )
        assert losses == pytest.approx(expected, rel=1e-12)


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("place", ["build", "update"])
def test_a_plugin_that_ends_python_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    code = EXITING.replace(f"self.{place}_exit", "True")
    (tmp_path / "runs").mkdir()
    wanted = [plugin(tmp_path, "exiting", code), "model=exiting", "optimizer=exiting"]
    lines = [*scenes.QUICK, *MLP[:3], *wanted, f"output={tmp_path / 'runs'}"]
    assert main.command(ROOT, lines) == 1
    assert "sys.exit(0) was called" in capsys.readouterr().err
    runs = [Folder(path) for path in (tmp_path / "runs").glob("*") if path.is_dir()]
    assert [run.end for run in runs] == ["FAILED"] * (place == "update")


EXITING = '''
import sys
from torch import Tensor, nn
from experiments import DataSpec, Model, Optimizer, State, register

@register("exiting")
class Exiting(Model):
    """Ends Python where it is built, if it is told to."""

    build_exit: bool = False

    def build(self, spec: DataSpec) -> nn.Module:
        if self.build_exit:
            sys.exit(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(spec.features, spec.outputs))

@register("exiting")
class ExitingRule(Optimizer):
    """Ends Python at its first step, if it is told to."""

    lr: float = 0.1
    update_exit: bool = False

    def update(self, grad: Tensor, param: Tensor, state: State, t: Tensor) -> tuple[Tensor, State]:
        if self.update_exit:
            sys.exit(0)
        return 0.1 * grad, state
'''


@pytest.mark.whole
def test_what_goes_alone_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(tmp_path / "a", "dataset.resident=false", "seed=1,2")
    assert "2 alone: dataset.resident=false" in capsys.readouterr().out
    sweep(tmp_path / "b", "hydra.launcher.max_lanes=1", "seed=1,2")
    assert "2 alone: hydra.launcher.max_lanes=1" in capsys.readouterr().out
    sweep(tmp_path / "c", "batch_size=20,30")
    assert "2 alone: no other job has the same settings" in capsys.readouterr().out
    wanted = ["hydra.launcher.probe=true", "model=dynamic", "seed=1,2"]
    sweep(tmp_path / "d", *wanted, quick=MLP[:3])
    assert "2 alone: model=dynamic cannot train in lanes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("seed=[]", "seed"),
        ("optimizer.lrr=0.1,0.2", "optimizer.lr"),
        ("hydra.launcher.max_lanes=0 seed=1,2", "must be > 0"),
        ("sweep.file=absent.csv seed=1,2", "cannot be read"),
        ("sweep.zip=[optimizer.lr,seed] optimizer.lr=0.1,0.2 seed=1,2,3", "as many values"),
        ("sweep.zip=[optimizer.l] optimizer.lr=0.1,0.2", "did you mean 'optimizer.lr'"),
        ("monitor=val/maee seed=1,2", "did you mean 'val/mae'"),
        ("repeats=0 seed=1,2", "repeats"),
    ],
)
def test_wrong_sweeps_are_refused_in_one_line(
    wanted: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main.command(ROOT, ["-m", *scenes.QUICK, *MLP, f"output={tmp_path}", *wanted.split()])
    told = capsys.readouterr().err
    assert status == 2, told
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("line", ["repeats=2", "sweep.file=jobs.csv", "sweep.zip=[seed]"])
def test_what_makes_several_runs_needs_a_sweep(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.command(ROOT, [*scenes.QUICK, *MLP, f"output={tmp_path}", line]) == 2
    told = capsys.readouterr().err
    assert f"{line.partition('=')[0]} makes several runs; add -m" in told


def test_the_folder_of_another_sweep_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = f"hydra.sweep.dir={tmp_path / 'one'}"
    assert (
        main.command(ROOT, ["-m", *scenes.QUICK, *MLP, f"output={tmp_path}", here, "seed=1,2"]) == 0
    )
    capsys.readouterr()
    other = ["-m", *scenes.QUICK, *MLP, f"output={tmp_path}", here, "seed=3,4"]
    assert main.command(ROOT, other) == 2
    assert "is that of another sweep" in capsys.readouterr().err


def test_an_error_while_one_job_is_concluded_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = handover._draw

    def failing(session: Session, history: History, folder: Path) -> Iterator[str]:
        if session.experiment.seed == 2:
            raise ZeroDivisionError("a figure on purpose")
        return drawn(session, history, folder)

    monkeypatch.setattr(handover, "_draw", failing)
    folder = sweep(tmp_path, "seed=1,2,3", "tracking.figures=true", status=1)
    assert "1 of 3 jobs failed" in (told := capsys.readouterr().err)
    assert "seed=2: a figure on purpose" in told
    ends = [Folder(folder / str(job)).end for job in range(3)]
    assert ends == ["FINISHED", "FAILED", "FINISHED"]
    assert [result(folder, job)["status"] for job in range(3)] == ["finished", "failed", "finished"]
    assert "a figure on purpose" in (folder / "1" / "error.txt").read_text()
    assert Folder(folder).end == "FAILED"


def test_a_test_split_that_cannot_be_evaluated_together_is_each_job_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = train.evaluate

    def failing(session: Session, split: str) -> list[dict[str, float]]:
        if split == "test" and any(one.seed == 2 for one in session.experiments):
            raise ArithmeticError("a metric on purpose")
        return evaluated(session, split)

    monkeypatch.setattr(train, "evaluate", failing)
    folder = sweep(tmp_path, "seed=1,2,3", status=1)
    assert [result(folder, job)["status"] for job in range(3)] == ["finished", "failed", "finished"]
    assert result(folder, 1)["reason"] == "a metric on purpose"


def test_a_group_ends_when_its_time_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep(tmp_path, "seed=1,2", "epochs=100000", "time_limit=0.5")
    assert "2 jobs -> 1 group (2 lanes), 0 alone" in capsys.readouterr().out
    for job in range(2):
        found = result(folder, job)
        assert (found["status"], found["reason"]) == ("finished", "time_limit=0.5")


def test_jobs_leave_their_code_and_say_which_parameter_diverged_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "patch", lambda _: "the code beside its commit")
    wanted = ["dataset.task=regression", "optimizer=sgd", "optimizer.lr=0.01,1e200"]
    folder = sweep(tmp_path, *wanted, "seed=1")
    for job in range(2):
        assert "beside its commit" in (folder / str(job) / "code.patch").read_text()
    found = result(folder, 1)
    assert found["status"] == "diverged"
    assert "weights1 (2e+200) was largest" in str(found["reason"])


def test_the_best_parameters_are_on_the_disk_when_they_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    taken = Training.take

    def looking(self: Training, step: Step) -> list[Ended]:
        ended = taken(self, step)
        if step.t == 4:
            found[:] = [path.exists() for path in sorted(tmp_path.glob("*-sweep/?/checkpoints"))]
            found.append(bool(list(tmp_path.glob("*-sweep/?/checkpoints/best.safetensors"))))
        return ended

    monkeypatch.setattr(Training, "take", looking)
    sweep(tmp_path, "seed=1,2", "epochs=3")
    assert found == [True, True, True]
